/** Ctrl-C, SIGTERM and a closed terminal: once means in order, twice means at once. */

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/**
 * One Ctrl-C may arrive several times: the terminal sends it to all processes in the foreground,
 * and npm and the set-up script pass theirs on. All of that takes some milliseconds; a person who
 * loses patience takes longer than this.
 */
const SAME_PRESS_MS = 1000;

export interface StopSignals {
  /** Aborted by the first signal. */
  readonly stop: AbortSignal;
  /** Aborted by a signal that comes when the first one has not been enough. */
  readonly kill: AbortSignal;
  /** The same as a signal: whoever reads the output is gone. */
  request(): void;
}

export function listenForStopSignals({ onStop }: { onStop: () => void }): StopSignals {
  const stop = new AbortController();
  const kill = new AbortController();
  let firstAtMs = 0;
  const request = () => {
    if (!stop.signal.aborted) {
      firstAtMs = performance.now();
      stop.abort();
      onStop();
    } else if (performance.now() - firstAtMs > SAME_PRESS_MS) {
      kill.abort();
    }
  };
  for (const signal of SIGNALS) process.on(signal, request);
  return { stop: stop.signal, kill: kill.signal, request };
}
