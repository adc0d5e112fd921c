/** Runs a tool of the set-up (npx, apt-get, brew, docker) with its output visible. */
import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';

/** How long a tool may take to stop; what is left after that is killed. */
const STOP_MS = 5000;
/** Killed processes are gone at once; nobody may collect them, though. */
const KILLED_MS = 1000;
const POLL_MS = 20;

/**
 * @param {{
 *   command: string,
 *   args: string[],
 *   cwd: string,
 *   env: NodeJS.ProcessEnv,
 *   stops: import('./stop-requests.mjs').StopRequests,
 *   ownGroup?: boolean,
 * }} options `ownGroup`: a stop reaches whatever the tool started, too. Not for sudo, which knows
 *   a user by the terminal that such a group no longer has.
 * @returns {Promise<{ code: number | null, isMissing: boolean }>}
 */
export async function runTool({ command, args, cwd, env, stops, ownGroup = false }) {
  stops.throwIfRequested();
  const child = spawn(command, args, {
    cwd,
    env,
    // Both on stderr: stdout belongs to the command that is made ready for.
    stdio: ['ignore', 2, 2],
    detached: ownGroup,
  });
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let killTimer;
  /**
   * Whether there was something to send it to.
   * @param {NodeJS.Signals | 0} signal
   */
  const send = (signal) => {
    try {
      return child.pid !== undefined && process.kill(ownGroup ? -child.pid : child.pid, signal);
    } catch {
      // It ended by itself in the meantime.
      return false;
    }
  };
  const removeListener = stops.onRequest(() => {
    send('SIGTERM');
    killTimer ??= setTimeout(() => send('SIGKILL'), STOP_MS);
  });
  try {
    const result = await ended(child);
    if (killTimer !== undefined) await waitUntilGone(() => send(0));
    stops.throwIfRequested();
    return result;
  } finally {
    removeListener();
    clearTimeout(killTimer);
  }
}

/**
 * A tool that was stopped may be gone before what it started.
 * @param {() => boolean} isThere
 */
async function waitUntilGone(isThere) {
  const deadlineMs = performance.now() + STOP_MS + KILLED_MS;
  while (isThere() && performance.now() < deadlineMs) await sleep(POLL_MS);
}

/**
 * @param {import('node:child_process').ChildProcess} child
 * @returns {Promise<{ code: number | null, isMissing: boolean }>}
 */
function ended(child) {
  return new Promise((resolve) => {
    child.once('error', () => resolve({ code: null, isMissing: true }));
    child.once('exit', (code) => resolve({ code, isMissing: false }));
  });
}
