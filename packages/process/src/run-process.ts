/** The life of a process: start, serve until it is told to stop, stop in order, once. */
import { ConfigurationError } from './configuration.ts';
import { within } from './within.ts';

export interface Running {
  /** Settles when everything is stopped. */
  stop(): Promise<void>;
  /** Rejects when the process can no longer do its work. */
  readonly failed?: Promise<never>;
}

const EXIT_OK = 0;
const EXIT_FAILED = 1;
const EXIT_MISCONFIGURED = 2;

/** What has failed may be unable to stop, too. Longer than a worker drains by default. */
const STOP_AFTER_FAILURE_MS = 60_000;

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
  const life = live({ name, start, signalled: signalled.promise });
  return Promise.race([life, signalledAgain.promise]);
}

async function live({
  name,
  start,
  signalled,
}: {
  name: string;
  start: () => Promise<Running>;
  signalled: Promise<void>;
}): Promise<number> {
  const complain = (error: unknown) => process.stderr.write(`${name}: ${firstLine(error)}\n`);
  let running: Running;
  try {
    running = await start();
  } catch (error) {
    complain(error);
    return error instanceof ConfigurationError ? EXIT_MISCONFIGURED : EXIT_FAILED;
  }
  let code = EXIT_OK;
  try {
    await Promise.race([signalled, ...(running.failed ? [running.failed] : [])]);
  } catch (error) {
    complain(error);
    code = EXIT_FAILED;
  }
  try {
    await (code === EXIT_OK ? running.stop() : within(STOP_AFTER_FAILURE_MS, running.stop()));
  } catch (error) {
    complain(error);
    code = EXIT_FAILED;
  }
  return code;
}

/** Some errors, such as those of a refused connection, have no message. */
function firstLine(error: unknown): string {
  if (!(error instanceof Error)) return String(error).split('\n', 1)[0] ?? '';
  const line = error.message.split('\n', 1)[0] ?? '';
  if (line !== '') return line;
  return 'code' in error ? String(error.code) : error.name;
}

/**
 * Collects what must be stopped; stops it last-in first-out, and only once. What cannot be stopped
 * does not keep the others from it; the first failure is thrown in the end.
 */
export function createStopper(): {
  add(stop: () => void | Promise<void>): void;
  stop(): Promise<void>;
} {
  const stops: (() => void | Promise<void>)[] = [];
  let stopping: Promise<void> | null = null;

  async function stopAll(): Promise<void> {
    const failures: unknown[] = [];
    for (const stop of stops.toReversed()) {
      try {
        await stop();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
  return {
    add: (stop) => void stops.push(stop),
    stop: () => (stopping ??= stopAll()),
  };
}
