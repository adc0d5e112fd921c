/** The Node that runs everything: the one of the lockfile, whatever Node the machine has. */
import { spawnSync } from 'node:child_process';
import { SetUpFailure } from './failure.mjs';

const OLDEST_LOCAL_NODE = 24;
const ANSWER_TIMEOUT_MS = 10_000;

/**
 * @param {string} localNode path of node_modules/.bin/node
 * @returns {string} its version
 */
export function checkLocalNode(localNode) {
  const { stdout, error } = spawnSync(localNode, ['--version'], {
    encoding: 'utf8',
    timeout: ANSWER_TIMEOUT_MS,
  });
  const version = (stdout ?? '').trim().replace(/^v/, '');
  if (Number.parseInt(version, 10) >= OLDEST_LOCAL_NODE) return version;
  const problem = error === undefined ? `it is ${version || 'silent'}` : error.message;
  throw new SetUpFailure(
    `node_modules/.bin/node should be Node ${OLDEST_LOCAL_NODE} or later (${problem}); delete node_modules and run this again`,
  );
}
