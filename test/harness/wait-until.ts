import { setTimeout as sleep } from 'node:timers/promises';

/** Waits for a condition; fails with its name when it does not come true in time. */
export async function waitUntil<T>(
  name: string,
  condition: () => T | Promise<T>,
  { timeoutMs = 20_000, everyMs = 10 } = {},
): Promise<NonNullable<T>> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (performance.now() > deadlineMs) throw new Error(`Not within ${timeoutMs} ms: ${name}`);
    await sleep(everyMs);
  }
}
