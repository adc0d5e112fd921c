/** Runs the command itself, as a child that shares this terminal. */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { SetUpFailure } from './failure.mjs';

/**
 * Resolves with the child's exit code, as a shell would report it; `stopIsSuccess` says that a child
 * which a signal ended before it could handle it did what it was told.
 *
 * Every signal is passed on: a supervisor, or npm, sends it to this process alone. A terminal's
 * Ctrl-C reaches the child as well; `interruptsTwice` says that the child bears both.
 * @param {{
 *   executable: string,
 *   args: string[],
 *   cwd: string,
 *   env: NodeJS.ProcessEnv,
 *   stops: import('./stop-requests.mjs').StopRequests,
 *   interruptsTwice: boolean,
 *   stopIsSuccess: boolean,
 * }} options
 * @returns {Promise<number>}
 */
export function runCommand({ executable, args, cwd, env, stops, interruptsTwice, stopIsSuccess }) {
  stops.throwIfRequested();
  return new Promise((resolve, reject) => {
    const child = spawn(executable, args, { cwd, env, stdio: 'inherit' });
    /** @type {NodeJS.Signals[]} */
    const passedOn = [];
    const removeListener = stops.onRequest((signal) => {
      if (signal === 'SIGINT' && process.stdin.isTTY && !interruptsTwice) return;
      passedOn.push(signal);
      child.kill(signal);
    });
    child.once('error', (error) => {
      removeListener();
      reject(new SetUpFailure(`${executable} does not start: ${error.message}`));
    });
    child.once('exit', (code, signal) => {
      removeListener();
      const wasStopped = signal !== null && passedOn.includes(signal);
      if (wasStopped && stopIsSuccess) resolve(0);
      else resolve(code ?? 128 + constants.signals[signal ?? 'SIGKILL']);
    });
  });
}
