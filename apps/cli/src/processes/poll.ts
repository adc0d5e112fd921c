/** Waits for a condition that nobody announces. */
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Asks until the answer is not undefined, and returns it. After `limitMs` throws what `onLimit`
 * makes; when the signal is aborted, its reason.
 */
export async function poll<T>({
  ask,
  everyMs,
  limitMs,
  onLimit,
  signal,
}: {
  ask: () => Promise<T | undefined> | T | undefined;
  everyMs: number;
  limitMs: number;
  onLimit: () => Error;
  signal: AbortSignal;
}): Promise<T> {
  const deadlineMs = performance.now() + limitMs;
  for (;;) {
    signal.throwIfAborted();
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (performance.now() > deadlineMs) throw onLimit();
    await pause(everyMs, signal);
  }
}

/** Resolves after the time, or as soon as the signal is aborted; never rejects. */
async function pause(delayMs: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(delayMs, undefined, { signal });
  } catch {
    // Aborted: whoever waits looks at the signal next.
  }
}
