import { pino } from 'pino';
import type { Logger } from 'pino';

export type { Logger };

/**
 * How long lines wait for others to be written with them: a process that is killed loses so much of its
 * log.
 */
const GATHER_MS = 20;
/** So much is written at once. */
const GATHERED_BYTES_MAX = 8_192;

/**
 * JSON lines on stdout. Never a prompt, an output or a key. Lines that come soon after one another are
 * written together: each write is a system call, which costs more than the line.
 */
export function createLogger({ name, level }: { name: string; level: string }): Logger {
  const stdout = pino.destination({ dest: 1, sync: true, minLength: GATHERED_BYTES_MAX });
  let isGathering = false;
  function write(): void {
    isGathering = false;
    // Not `flushSync`: it waits for the disk each time, and for ever where nobody reads any more.
    stdout.flush();
  }
  process.on('exit', write);
  return pino(
    {
      name,
      level,
      base: { pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      hooks: {
        streamWrite(line) {
          if (!isGathering) setTimeout(write, GATHER_MS);
          isGathering = true;
          return line;
        },
      },
    },
    stdout,
  );
}

/** By default at most one line a second for each cause: a broken connection fails thousands of times. */
const REPEAT_MS = 1_000;

/** Returns a function that logs errors at a bounded rate, and says how many it left out. */
export function createErrorLog(
  log: Logger,
  message: string,
  { everyMs = REPEAT_MS }: { everyMs?: number } = {},
): (error: Error) => void {
  const seen = new Map<string, { atMs: number; leftOut: number }>();
  return (error) => {
    const cause = errorCode(error);
    const last = seen.get(cause);
    const nowMs = performance.now();
    if (last !== undefined && nowMs - last.atMs < everyMs) {
      last.leftOut += 1;
      return;
    }
    log.warn({ cause, left_out: last?.leftOut ?? 0 }, message);
    seen.set(cause, { atMs: nowMs, leftOut: 0 });
  };
}

/** What ioredis says where there is no code: how its message begins, and what that is. */
const KNOWN_MESSAGES: readonly (readonly [string, string])[] = [
  ["Stream isn't writeable", 'not connected'],
  ['Connection is closed', 'connection closed'],
  ['Command timed out', 'command timeout'],
  ['Socket timeout', 'socket timeout'],
];

/** What went wrong, without the message, which may hold arguments of a command. */
function errorCode(error: Error): string {
  if ('code' in error && typeof error.code === 'string') return error.code;
  // A name that resolves to several addresses fails once for each.
  const within: unknown = error instanceof AggregateError ? error.errors[0] : error.cause;
  if (within instanceof Error && 'code' in within) return errorCode(within);
  const known = KNOWN_MESSAGES.find(([begin]) => error.message.startsWith(begin));
  if (known !== undefined) return known[1];
  // Redis begins its error replies with a word in capitals: OOM, LOADING, READONLY, …
  const [word = ''] = error.message.split(' ', 1);
  return /^[A-Z]{2,}$/.test(word) ? word : error.name;
}
