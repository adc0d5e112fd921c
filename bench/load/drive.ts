/** Decides when which request is sent. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Asked, Exchange, Origin } from './exchange.ts';
import type { LoadOptions } from './load.ts';

/** An open loop whose answers do not end would go on to take memory. */
const OPEN_AT_ONCE_MAX = 10_000;

export interface Lane {
  /** `at` counts connections: streams of a closed loop have one each. */
  origin(at: number): Origin;
}

/** Resolves when all that has begun has ended. */
export async function drive(
  { arrivals, tokens, forMs, requestsMax = Infinity }: LoadOptions,
  { exchange, lane }: { exchange: Exchange; lane: Lane },
): Promise<void> {
  const untilMs = performance.now() + forMs;
  let left = requestsMax;
  const mayBegin = () => left > 0 && performance.now() < untilMs;
  const begin = (at: number, asked: Asked) => {
    left -= 1;
    return exchange(lane.origin(at), asked);
  };

  /** The first answers are of all lengths, so that not all end in one step ever after. */
  async function stream(at: number, of: number): Promise<void> {
    const first = requestsMax === Infinity ? Math.ceil((tokens * (at + 1)) / of) : tokens;
    for (let asked = first; mayBegin(); asked = tokens) {
      // oxlint-disable-next-line no-await-in-loop -- one after another is what a closed loop is
      await begin(at, { dueMs: null, tokens: asked });
    }
  }

  async function sendWhenDue(perS: number, random: () => number): Promise<void> {
    const open = new Set<Promise<void>>();
    const nextMs = () => (-Math.log(1 - random()) * 1_000) / perS;
    let count = 0;
    for (let dueMs = performance.now() + nextMs(); dueMs < untilMs; dueMs += nextMs()) {
      if (left === 0) break;
      const waitMs = dueMs - performance.now();
      // oxlint-disable-next-line no-await-in-loop -- until it is due
      if (waitMs > 0) await sleep(waitMs);
      if (open.size >= OPEN_AT_ONCE_MAX) throw new Error('too many answers are open');
      const answer = begin(count, { dueMs, tokens }).finally(() => open.delete(answer));
      open.add(answer);
      count += 1;
    }
    await Promise.all(open);
  }

  if (arrivals.kind === 'open') return sendWhenDue(arrivals.perS, randomOf(arrivals.seed));
  const { concurrency } = arrivals;
  await Promise.all(Array.from({ length: concurrency }, (_, at) => stream(at, concurrency)));
}

/** Mulberry32: small, and the same for a seed everywhere. */
function randomOf(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let hash = Math.imul(state ^ (state >>> 15), 1 | state);
    hash = (hash + Math.imul(hash ^ (hash >>> 7), 61 | hash)) ^ hash;
    return ((hash ^ (hash >>> 14)) >>> 0) / 4_294_967_296;
  };
}
