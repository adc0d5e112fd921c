/**
 * Feeds the lines of a batch through a bounded window, as a feeder of batch files does: so many lines
 * are accepted and not done, and each refusal is obeyed.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from '../../chaos/random.ts';
import { askJson } from './json-call.ts';
import { bodyOf, drawWish, tenantHeaders } from './mix.ts';
import type { LoadMix, Wish } from './mix.ts';

/** Nobody follows a line of a batch: it is looked up, one after another. */
const LOOK_EVERY_MS = 40;
const RETRY_MS = 1_000;
/** While the window is full. */
const PAUSE_MS = 20;

export interface FeedCounts {
  readonly submitted: number;
  readonly failed: number;
  readonly refused: number;
}

export interface BatchFeed {
  readonly counts: FeedCounts;
  /** No further line; those that are out are cancelled. */
  stop(): Promise<void>;
}

export function startBatchFeed({
  apis,
  mix,
  random,
  lines,
  window,
  onDone,
}: {
  apis: readonly string[];
  mix: LoadMix;
  random: Random;
  lines: number;
  window: number;
  /** With the time at which it was done, in milliseconds: it is noticed later. */
  onDone: (doneMs: number) => void;
}): BatchFeed {
  const stopping = new AbortController();
  const outstanding: string[] = [];
  const counts = { submitted: 0, failed: 0, refused: 0 };

  async function submit(wish: Wish): Promise<void> {
    const url = `${random.pick(apis)}/v1/jobs`;
    while (!stopping.signal.aborted) {
      const reply = await askJson(url, { body: bodyOf(wish), headers: tenantHeaders(wish.tenant) });
      if (reply?.status === 202 && typeof reply.body['id'] === 'string') {
        counts.submitted += 1;
        outstanding.push(reply.body['id']);
        return;
      }
      if (reply !== null) counts.refused += 1;
      await sleep(reply?.retryAfterMs ?? RETRY_MS, null, { signal: stopping.signal }).catch(
        () => {},
      );
    }
  }

  async function feed(): Promise<void> {
    for (let line = 0; line < lines && !stopping.signal.aborted; line += 1) {
      while (outstanding.length >= window && !stopping.signal.aborted) await sleep(PAUSE_MS);
      if (!stopping.signal.aborted) await submit(drawWish(mix, random));
    }
  }

  /** The oldest one is looked at first, and goes to the end while it is not over. */
  async function lookUntilStopped(): Promise<void> {
    while (!stopping.signal.aborted) {
      const id = outstanding.shift();
      const reply = id === undefined ? null : await askJson(`${random.pick(apis)}/v1/jobs/${id}`);
      const state = reply?.body['status'];
      if (state === 'completed') onDone(Number(reply?.body['finished_at']) * 1_000);
      else if (state === 'failed' || state === 'expired' || state === 'cancelled') {
        counts.failed += 1;
      } else if (id !== undefined) outstanding.push(id);
      await sleep(LOOK_EVERY_MS);
    }
  }

  function cancel(id: string): Promise<unknown> {
    return askJson(`${random.pick(apis)}/v1/jobs/${id}/cancel`, { method: 'POST' });
  }

  async function stop(): Promise<void> {
    stopping.abort();
    await running;
    await Promise.all(outstanding.splice(0).map(cancel));
  }

  const running = Promise.all([feed(), lookUntilStopped()]);
  let stopped: Promise<void> | null = null;
  return {
    get counts() {
      return { ...counts };
    },
    stop: () => (stopped ??= stop()),
  };
}
