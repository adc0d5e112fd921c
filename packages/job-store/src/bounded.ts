/** Waits for a promise, but not longer than this. What it waited for goes on, and may fail. */
export async function bounded(ms: number, promise: Promise<unknown>): Promise<void> {
  const { promise: expired, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  await Promise.race([promise, expired]).finally(() => clearTimeout(timer));
}
