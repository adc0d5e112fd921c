import { blank } from '../load/client.ts';
import type { Wish } from '../load/mix.ts';
import type { Outcome } from '../load/outcome.ts';

/** A request that is due at `dueMs`, and what became of it. */
export function outcome(
  dueMs: number,
  { wish = {}, ...fields }: Partial<Omit<Outcome, 'wish'>> & { wish?: Partial<Wish> } = {},
): Outcome {
  const whole = {
    class: 'interactive',
    tier: 'fast',
    isPinned: false,
    fallback: null,
    tenant: 'busy',
    tokens: 10,
    ...wish,
  } as const;
  return { ...blank(whole, dueMs), ...fields };
}

/** One that was done after so long, with its first text in the middle of it. */
export function done(dueMs: number, tookMs: number, wish: Partial<Wish> = {}): Outcome {
  return outcome(dueMs, {
    wish,
    end: 'done',
    status: 200,
    answeredMs: dueMs,
    firstTokenMs: dueMs + tookMs / 2,
    endedMs: dueMs + tookMs,
  });
}

export function refused(dueMs: number, wish: Partial<Wish> = {}): Outcome {
  return outcome(dueMs, {
    wish,
    end: 'refused',
    status: 503,
    code: 'overloaded',
    answeredMs: dueMs + 4,
    retryAfterMs: 2_000,
  });
}
