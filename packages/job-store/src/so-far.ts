/** What earlier attempts of a job have published, for the one that carries it on. */
import { jobEventSchema } from '@qarr/router-core';
import type { JobEvent } from '@qarr/router-core';
import type { RedisClient } from './redis-client.ts';
import { TOLD_BEFORE } from './delta-buffer.ts';

/** Entries in one read: some 100 KB. */
const PAGE = 500;

export interface SoFar {
  readonly text: string;
  /** The tokens of `text`, or somewhat more; null when an engine has not told all of them. */
  readonly tokenIds: readonly number[] | null;
  /** There is more than the text of one choice: reasoning, tool calls, log probabilities. */
  readonly hasMore: boolean;
  /** How often the answer has been carried on, this time included. */
  readonly continued: number;
}

/** Reads the deltas since the last reset. The log of a job that runs is always whole. */
export async function readSoFar({
  redis,
  logKey,
  continued,
}: {
  redis: RedisClient;
  logKey: string;
  continued: number;
}): Promise<SoFar> {
  let text = '';
  let tokenIds: number[] = [];
  let isAllTold = true;
  let hasMore = false;

  function add({ event, ids }: Entry): void {
    if (event === null) {
      hasMore = true;
    } else if (event.type === 'reset') {
      [text, tokenIds, isAllTold, hasMore] = ['', [], true, false];
    } else if (event.type === 'delta') {
      text += event.text;
      if (ids !== null) for (const id of ids) tokenIds.push(id);
      else if (event.text !== '') isAllTold = false;
      const { index, reasoning, tool_calls, logprobs } = event;
      hasMore ||= [index, reasoning, tool_calls, logprobs].some((value) => value !== undefined);
    }
  }

  for (let after = '0'; ;) {
    const entries = await redis.xrange(logKey, `(${after}`, '+', 'COUNT', PAGE);
    for (const [id, fields] of entries) {
      after = id;
      add(readEntry(fields));
    }
    if (entries.length < PAGE) {
      return { text, tokenIds: isAllTold ? tokenIds : null, hasMore, continued };
    }
  }
}

interface Entry {
  /** Null where it cannot be read: nothing can be made of it. */
  readonly event: JobEvent | null;
  /** Null where the engine has not told. */
  readonly ids: readonly number[] | null;
}

/** Fields are `t`, `d` and perhaps `i`, in this order. */
function readEntry([, , , json = '', , ids]: string[]): Entry {
  const event = readEvent(json);
  if (ids === undefined) return { event, ids: null };
  return { event, ids: ids === TOLD_BEFORE ? [] : ids.split(',').map(Number) };
}

function readEvent(json: string): JobEvent | null {
  try {
    return jobEventSchema.parse(JSON.parse(json));
  } catch {
    // Of another version, perhaps.
    return null;
  }
}
