import { setTimeout as sleep } from 'node:timers/promises';
import type { EventStream } from '../../http/event-stream.ts';

type Task = (signal: AbortSignal) => void | Promise<void>;

/**
 * Does one thing after the other, however long each takes, until the client has gone. What waits
 * here is at most the rest of one answer.
 */
export type Serial = { push(task: Task): void };

export function createSerial(stream: EventStream): Serial {
  const gone = new AbortController();
  stream.onGone(() => gone.abort());
  let last = Promise.resolve();

  async function run(previous: Promise<void>, task: Task): Promise<void> {
    await previous;
    if (!gone.signal.aborted) await task(gone.signal);
  }

  return {
    push(task) {
      last = run(last, task);
    },
  };
}

/** Waits `ms`, for ever if that is 0, or until the signal. */
export async function waitOrForever(ms: number, signal: AbortSignal): Promise<void> {
  if (ms > 0) return waitMs(ms, signal);
  await new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

export async function waitMs(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => {
    // Aborted: whoever waits looks at the signal next.
  });
}
