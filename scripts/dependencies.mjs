/** Installs what the lockfile says, when it is not installed already. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { SetUpFailure } from './failure.mjs';
import { runTool } from './tool.mjs';
import { installationStamp, workspaceFolders } from './workspace.mjs';

/**
 * @param {{
 *   root: string,
 *   localNode: string,
 *   env: NodeJS.ProcessEnv,
 *   stops: import('./stop-requests.mjs').StopRequests,
 *   progress: import('./progress.mjs').Progress,
 * }} options
 * @returns {Promise<string>} what it found or did, for people
 */
export async function ensureDependencies({ root, localNode, env, stops, progress }) {
  const stampFile = path.join(root, 'node_modules', '.qarr-installed');
  const stamp = installationStamp(root);
  if (isCurrent({ root, localNode, stampFile, stamp })) return 'dependencies are current';

  const pnpm = pinnedPnpm(root);
  progress.start(
    `installing the dependencies with ${pnpm}; the first time takes about half a minute`,
  );
  const { code, isMissing } = await runTool({
    command: 'npx',
    args: ['--yes', pnpm, 'install', '--frozen-lockfile', '--config.confirmModulesPurge=false'],
    cwd: root,
    env: { ...env, npm_config_update_notifier: 'false', npm_config_fund: 'false' },
    stops,
    ownGroup: true,
  });
  if (isMissing) throw new SetUpFailure('npx is not on the PATH; install npm (it comes with Node)');
  if (code !== 0) {
    throw new SetUpFailure(
      `the dependencies could not be installed (${pnpm} ended with ${code}, its reason is above); check the network, then run this again`,
    );
  }
  mkdirSync(path.dirname(stampFile), { recursive: true });
  writeFileSync(stampFile, stamp);
  progress.done('dependencies installed');
  return 'dependencies are installed';
}

/**
 * The stamp is written last, so an installation that was interrupted is never current. Folders
 * that someone removed afterwards are noticed by their absence.
 * @param {{ root: string, localNode: string, stampFile: string, stamp: string }} options
 */
function isCurrent({ root, localNode, stampFile, stamp }) {
  if (!existsSync(stampFile) || readFileSync(stampFile, 'utf8') !== stamp) return false;
  if (!existsSync(localNode)) return false;
  return workspaceFolders(root).every((folder) => {
    const { dependencies = {} } = readJson(path.join(folder, 'package.json'));
    return Object.keys(dependencies).length === 0 || existsSync(path.join(folder, 'node_modules'));
  });
}

/**
 * Exactly the version that package.json pins, without the hash that may follow it.
 * @param {string} root
 */
function pinnedPnpm(root) {
  const { packageManager } = readJson(path.join(root, 'package.json'));
  const pinned = /^pnpm@\d+\.\d+\.\d+/.exec(String(packageManager));
  if (pinned === null) throw new SetUpFailure('package.json does not pin pnpm in "packageManager"');
  return pinned[0];
}

/** @param {string} file */
function readJson(file) {
  return JSON.parse(readFileSync(file, 'utf8'));
}
