/** The life of a process: start, serve until it is told to stop, stop in order, once. */
import { ConfigurationError } from './configuration.ts';

export interface Running {
  /** Settles when everything is stopped. */
  stop(): Promise<void>;
  /** Rejects when the process can no longer do its work. */
  readonly failed?: Promise<never>;
}

const EXIT_OK = 0;
const EXIT_FAILED = 1;
const EXIT_MISCONFIGURED = 2;

/**
 * Runs until SIGTERM or SIGINT and returns the exit code. A second signal ends it at once.
 * What makes a start impossible is one line on stderr, never a stack trace.
 */
export async function runProcess(name: string, start: () => Promise<Running>): Promise<number> {
  const signalled = Promise.withResolvers<void>();
  const signalledAgain = Promise.withResolvers<number>();
  let signals = 0;
  const onSignal = () => {
    signals += 1;
    if (signals > 1) signalledAgain.resolve(EXIT_FAILED);
    signalled.resolve();
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);

  let running: Running;
  try {
    running = await start();
  } catch (error) {
    process.stderr.write(`${name}: ${(error as Error).message.split('\n', 1)[0]}\n`);
    return error instanceof ConfigurationError ? EXIT_MISCONFIGURED : EXIT_FAILED;
  }
  try {
    await Promise.race([signalled.promise, ...(running.failed ? [running.failed] : [])]);
  } catch (error) {
    process.stderr.write(`${name}: ${(error as Error).message.split('\n', 1)[0]}\n`);
    return EXIT_FAILED;
  }
  return Promise.race([running.stop().then(() => EXIT_OK), signalledAgain.promise]);
}

/** Collects what must be stopped; stops it last-in first-out, and only once. */
export function createStopper(): {
  add(stop: () => void | Promise<void>): void;
  stop(): Promise<void>;
} {
  const stops: (() => void | Promise<void>)[] = [];
  let stopping: Promise<void> | null = null;

  async function stopAll(): Promise<void> {
    for (const stop of stops.toReversed()) await stop();
  }
  return {
    add: (stop) => void stops.push(stop),
    stop: () => (stopping ??= stopAll()),
  };
}
