/**
 * The tools that check the rules and the configurations of Prometheus and Alertmanager. For
 * `npm run setup -- --with-prometheus` they are unpacked from Debian's packages into a folder of the
 * project; nothing is installed, so that no service is started. Without them the tests that need them are
 * left out; who wants these to fail sets QARR_REQUIRE_PROMETHEUS=1.
 */
import { accessSync, constants } from 'node:fs';
import path from 'node:path';
import { unpackByApt } from './apt.mjs';

const WITH_PROMETHEUS = '--with-prometheus';
/** Alertmanager itself, too: what is kept quiet is asked of one that runs. */
const TOOLS = ['promtool', 'amtool', 'prometheus-alertmanager'];
/** Of vitest: none of their tests needs them. */
const OTHER_PROJECTS = new Set(['integration', 'conformance', 'chaos', 'e2e']);
const PACKAGES = ['prometheus', 'prometheus-alertmanager'];

/**
 * Whether a command with these arguments runs the tests that need them, or makes ready for these.
 * @param {{ name: string, extra: readonly string[] }} command
 */
export function needsPrometheusTools({ name, extra }) {
  if (name === 'setup') return true;
  return name === 'test' && !extra.some((arg) => OTHER_PROJECTS.has(arg));
}

/**
 * Never fails: where they cannot be had, the tests that need them are left out.
 * @param {import('./redis.mjs').SetUp & { extra: readonly string[] }} setUp
 * @returns {Promise<string>} for people
 */
export async function providePrometheusTools({ extra, ...setUp }) {
  const { root, env } = setUp;
  const folder = path.join(root, '.qarr', 'prometheus-tools');
  const folders = [
    ...(env['PATH'] ?? '').split(path.delimiter).filter((one) => one !== ''),
    path.join(folder, 'usr', 'bin'),
  ];
  const areThere = () =>
    TOOLS.every((tool) => folders.some((one) => isExecutable(path.join(one, tool))));
  const isAsked = env['QARR_REQUIRE_PROMETHEUS'] === '1' || extra.includes(WITH_PROMETHEUS);
  if (!areThere() && isAsked) await unpackByApt(PACKAGES, folder, setUp);
  return areThere() ? 'promtool' : `no promtool (npm run setup -- ${WITH_PROMETHEUS} gets it)`;
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
