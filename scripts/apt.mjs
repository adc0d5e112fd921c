/** Installs what is missing on Debian and its relatives. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { runTool } from './tool.mjs';

const ANSWER_TIMEOUT_MS = 3000;
const APT_ENV = [
  'DEBIAN_FRONTEND=noninteractive',
  // Without systemd, the package's start script looks at the run level, and starts nothing in 1.
  'RUNLEVEL=1',
  'PREVLEVEL=1',
];
/** Another installation that is under way, such as a nightly upgrade, is waited for. */
const INSTALL = ['install', '--yes', '--no-install-recommends', '--option=DPkg::Lock::Timeout=60'];
/** Errors only; a folder of the project's owner need not be open to apt's own user. */
const APT_UNPACK = ['apt-get', '-qq', '--option=APT::Sandbox::User=root'];
const PID_FILE = '/run/redis/redis-server.pid';

/**
 * Does nothing where there is no apt-get, or no right to use it.
 * @param {string} name of the package
 * @param {import('./redis.mjs').SetUp} setUp
 */
export async function installByApt(name, { root, env, stops, progress }) {
  if (!existsSync('/usr/bin/apt-get')) return;
  const asRoot = rootPrefix();
  if (asRoot === null) return;
  /** @param {string[]} args */
  const run = async (...args) => {
    const [command = 'env', ...rest] = [...asRoot, ...args];
    return (await runTool({ command, args: rest, cwd: root, env, stops })).code === 0;
  };
  /** @param {string[]} args */
  const apt = (...args) => run('env', ...APT_ENV, 'apt-get', ...args);

  progress.start(`installing ${name} by apt-get`);
  const install = () => apt(...INSTALL, name);
  const isInstalled = (await install()) || ((await apt('update')) && (await install()));
  if (!isInstalled) return;
  const wasStopped = name === 'redis-server' && (await stopService(run));
  progress.done(
    `${name} installed by apt-get${wasStopped ? '; its system service is stopped, because the stack starts its own' : ''}`,
  );
}

/**
 * Unpacks packages into a folder and installs nothing: no service is started, and no right is needed
 * but to refresh the list of packages, where it is old. Does nothing where there is no apt-get.
 * @param {string[]} names of the packages
 * @param {string} folder
 * @param {import('./redis.mjs').SetUp} setUp
 */
export async function unpackByApt(names, folder, { root, env, stops, progress }) {
  if (!existsSync('/usr/bin/apt-get')) return;
  const downloads = path.join(folder, 'downloads');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(downloads, { recursive: true });
  /** @param {string} cwd @param {string[]} command */
  const run = async (cwd, [command = '', ...args]) =>
    (await runTool({ command, args, cwd, env, stops })).code === 0;
  const download = () => run(downloads, [...APT_UNPACK, 'download', ...names]);
  const asRoot = rootPrefix();

  progress.start(`unpacking ${names.join(', ')}`);
  const isThere =
    (await download()) ||
    (asRoot !== null &&
      (await run(root, [...asRoot, ...APT_UNPACK, 'update'])) &&
      (await download()));
  if (!isThere) {
    rmSync(folder, { recursive: true });
    return;
  }
  for (const file of readdirSync(downloads)) {
    await run(root, ['dpkg', '-x', path.join(downloads, file), folder]);
  }
  rmSync(downloads, { recursive: true });
  progress.done(`${names.join(', ')} unpacked into ${path.relative(root, folder)}`);
}

/**
 * The package may have started a service on port 6379, which nobody asked for.
 * @param {(...args: string[]) => Promise<boolean>} run
 */
async function stopService(run) {
  if (existsSync('/run/systemd/system')) {
    return run('systemctl', 'disable', '--quiet', '--now', 'redis-server.service');
  }
  return existsSync(PID_FILE) && run('service', 'redis-server', 'stop');
}

/**
 * What to put before a command so that it runs as root; null when there is no such right.
 * @returns {string[] | null}
 */
function rootPrefix() {
  if (process.getuid?.() === 0) return [];
  const { status } = spawnSync('sudo', ['-n', 'true'], {
    timeout: ANSWER_TIMEOUT_MS,
    stdio: 'ignore',
  });
  return status === 0 ? ['sudo', '-n'] : null;
}
