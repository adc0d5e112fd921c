/** Looks for a browser for the tests that need one, and installs Chromium where there is none. */
import { accessSync, constants } from 'node:fs';
import path from 'node:path';
import { installByApt } from './apt.mjs';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome'];
/** Beside the PATH: where package managers and installers put it. */
const USUAL_FILES = [
  '/usr/bin/chromium',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];
const PROJECT = '--project';

/**
 * Never fails: where no browser can be had, the tests that need one say what to do.
 * @param {import('./redis.mjs').SetUp} setUp
 * @returns {Promise<{ summary: string, env: NodeJS.ProcessEnv }>} what the tests need to know
 */
export async function provideChromium(setUp) {
  const { env } = setUp;
  if (env['QARR_CHROMIUM']) return { summary: 'Chromium of QARR_CHROMIUM', env: {} };
  if (findChromium(env) === null) await installByApt('chromium', setUp);
  const file = findChromium(env);
  if (file === null) return { summary: 'no Chromium', env: {} };
  return { summary: path.basename(file), env: { QARR_CHROMIUM: file } };
}

/**
 * Whether these arguments of vitest leave the tests in that need a browser.
 * @param {readonly string[]} args
 */
export function needsChromium(args) {
  const projects = args.flatMap((arg, index) => {
    if (arg.startsWith(`${PROJECT}=`)) return [arg.slice(PROJECT.length + 1)];
    return arg === PROJECT ? [args[index + 1] ?? ''] : [];
  });
  return projects.length === 0 || projects.includes('integration');
}

/** @param {NodeJS.ProcessEnv} env */
function findChromium(env) {
  const folders = (env['PATH'] ?? '').split(path.delimiter).filter((folder) => folder !== '');
  const named = folders.flatMap((folder) => NAMES.map((name) => path.join(folder, name)));
  return [...named, ...USUAL_FILES].find(isExecutable) ?? null;
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
