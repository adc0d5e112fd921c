/**
 * Writing to the logs of several attempts at once. What leaves in one turn of the event loop shares a
 * call, so that whoever follows many jobs gets one message for all of them.
 *
 * A script may not touch two slots: in a cluster each append is a call of its own.
 */
import type { WriteOutcome } from './attempt-log.ts';
import { EVENT_ARGS } from './delta-buffer.ts';
import type { Keys } from './keys.ts';
import { isCluster } from './redis-client.ts';
import type { RedisClient } from './redis-client.ts';
import { runScript } from './scripts.ts';
import type { ScriptCall } from './scripts.ts';

/** Redis does nothing else meanwhile: some milliseconds. */
const JOBS_PER_CALL_MAX = 256;
/** Of events, which are the length of a message too; the last append of a call may go beyond. */
const CHARS_PER_CALL_MAX = 131_072;

/** In the record, where an engine has not told its tokens. */
export const UNKNOWN = 'unknown';

/** What an attempt adds to its log. */
export interface Append {
  readonly jobId: string;
  readonly attempt: number;
  /** Of its claim. */
  readonly token: string;
  /** By this and earlier attempts; null where nobody knows. */
  readonly tokensMade: number | null;
  /** Number of the first event. */
  readonly first: number;
  /** As the scripts take them: see `EVENT_ARGS`. */
  readonly events: readonly string[];
}

/** Sends them once. Answers for each how it went; what became of one that failed is not known. */
export async function sendAppends(
  appends: readonly Append[],
  { redis, keys }: { redis: RedisClient; keys: Keys },
): Promise<(WriteOutcome | Error)[]> {
  const packs = isCluster(redis) ? appends.map((append) => [append]) : pack(appends);
  const outcomes = packs.map(async (appended) => {
    try {
      const reply = await runScript(redis, 'append', appendCall(appended, keys));
      return appended.map((_, at) => readOutcome(reply, at));
    } catch (error) {
      return appended.map(() => error as Error);
    }
  });
  return (await Promise.all(outcomes)).flat();
}

/** The call that makes these appends. Its keys must be of one slot. */
function appendCall(appends: readonly Append[], keys: Keys): ScriptCall {
  const names: string[] = [];
  const args: (string | number)[] = [];
  for (const { jobId, attempt, token, tokensMade, first, events } of appends) {
    names.push(keys.job(jobId), keys.log(jobId));
    args.push(jobId, attempt, token, tokensMade ?? UNKNOWN, first, events.length / EVENT_ARGS);
    for (const arg of events) args.push(arg);
  }
  return { keys: names, args };
}

/** What the script says of the append at this place of its call. */
function readOutcome(reply: unknown, at: number): WriteOutcome | Error {
  const outcome: unknown = Array.isArray(reply) ? reply[at] : undefined;
  if (outcome === 'ok' || outcome === 'cancel' || outcome === 'superseded') return outcome;
  return new Error(typeof outcome === 'string' ? outcome : 'No reply');
}

/** In their order, as many together as a call may hold. */
function pack(appends: readonly Append[]): Append[][] {
  const packs: Append[][] = [];
  let current: Append[] = [];
  let chars = 0;
  for (const append of appends) {
    if (
      current.length === 0 ||
      current.length === JOBS_PER_CALL_MAX ||
      chars > CHARS_PER_CALL_MAX
    ) {
      current = [];
      chars = 0;
      packs.push(current);
    }
    current.push(append);
    for (const arg of append.events) chars += arg.length;
  }
  return packs;
}
