import { vi } from 'vitest';

/** Waits until a check passes. The limit is that of a test on a busy machine, not a promise. */
export function eventually<Result>(check: () => Result): Promise<Awaited<Result>> {
  return vi.waitFor(check, { timeout: 4_500 }) as Promise<Awaited<Result>>;
}
