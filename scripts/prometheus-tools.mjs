/**
 * The tools that check the rules and the configurations of Prometheus and Alertmanager. Where CI is set,
 * or for `npm run setup -- --with-prometheus`, they are unpacked from Debian's packages into a folder of
 * the project; nothing is installed, so that no service is started.
 */
import { accessSync, constants } from 'node:fs';
import path from 'node:path';
import { unpackByApt } from './apt.mjs';

const WITH_PROMETHEUS = '--with-prometheus';
/** Alertmanager itself, too: what is kept quiet is asked of one that runs. */
const TOOLS = ['promtool', 'amtool', 'prometheus-alertmanager'];
const PACKAGES = ['prometheus', 'prometheus-alertmanager'];

/**
 * Whether a command with these arguments wants them.
 * @param {{ name: string, extra: readonly string[], env: NodeJS.ProcessEnv }} command
 */
export function wantsPrometheusTools({ name, extra, env }) {
  if (name === 'setup') return Boolean(env['CI']) || extra.includes(WITH_PROMETHEUS);
  return name === 'test' && Boolean(env['CI']) && (extra.length === 0 || extra.includes('unit'));
}

/**
 * Never fails: where they cannot be had, the tests that need them say what to do.
 * @param {import('./redis.mjs').SetUp} setUp
 * @returns {Promise<string>} for people
 */
export async function providePrometheusTools(setUp) {
  const folder = path.join(setUp.root, '.qarr', 'prometheus-tools');
  const folders = [
    ...(setUp.env['PATH'] ?? '').split(path.delimiter).filter((one) => one !== ''),
    path.join(folder, 'usr', 'bin'),
  ];
  const areThere = () =>
    TOOLS.every((tool) => folders.some((one) => isExecutable(path.join(one, tool))));
  if (!areThere()) await unpackByApt(PACKAGES, folder, setUp);
  return areThere() ? 'promtool and amtool' : 'no promtool and amtool';
}

/** @param {string} file */
function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    // Not there, or not ours to run: another one may be.
    return false;
  }
}
