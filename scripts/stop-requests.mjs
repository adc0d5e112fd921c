/** Being told to stop: by a signal, or by the end of the npm that started this. */
import { constants } from 'node:os';

const SIGNALS = /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP']);
const PARENT_CHECK_MS = 1000;

/** Thrown by what a stop request ended before it was done. */
export class StopRequested extends Error {
  /** @param {NodeJS.Signals} signal */
  constructor(signal) {
    super(`stopped by ${signal}`);
    this.name = 'StopRequested';
    this.signal = signal;
    /** What a shell reports for a process that the signal ended. */
    this.exitCode = 128 + constants.signals[signal];
  }
}

/**
 * @typedef {object} StopRequests
 * @property {() => void} throwIfRequested
 * @property {(listener: (signal: NodeJS.Signals) => void) => () => void} onRequest
 *   calls the listener with every signal, including the one that came before; returns its removal
 * @property {() => void} stop
 */

/**
 * @param {{ watchParent: boolean }} options `watchParent`: a parent that is gone is a SIGTERM. An
 *   npm that is killed cannot pass anything on, and some shells between npm and this script die of
 *   the signal themselves instead of passing it on.
 * @returns {StopRequests}
 */
export function createStopRequests({ watchParent }) {
  /** @type {NodeJS.Signals | null} */
  let first = null;
  /** @type {Set<(signal: NodeJS.Signals) => void>} */
  const listeners = new Set();
  /** @param {NodeJS.Signals} signal */
  const request = (signal) => {
    first ??= signal;
    for (const listener of listeners) listener(signal);
  };
  for (const signal of SIGNALS) process.on(signal, request);

  const parent = process.ppid;
  const parentWatch = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(parentWatch);
    request('SIGTERM');
  }, PARENT_CHECK_MS);
  if (!watchParent) clearInterval(parentWatch);

  return {
    throwIfRequested() {
      if (first !== null) throw new StopRequested(first);
    },
    onRequest(listener) {
      listeners.add(listener);
      if (first !== null) listener(first);
      return () => listeners.delete(listener);
    },
    stop() {
      clearInterval(parentWatch);
      listeners.clear();
      for (const signal of SIGNALS) process.off(signal, request);
    },
  };
}
