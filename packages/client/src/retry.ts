/** When a request that has failed is sent again. */
import { fullJitterMs } from '@qarr/router-core';
import { QarrClientError } from './errors.ts';
import { sleep } from './within.ts';

/** The first wait is half a second at most; ceilings double up to `CAP_MS`. */
const BASE_MS = 500;
const CAP_MS = 8_000;

/**
 * Milliseconds to wait after so many failures; null: it was told to wait for longer than it may.
 *
 * What the server says counts, if it says anything. Otherwise it is a random share of a growing
 * ceiling ("full jitter"), so that many clients do not come back together.
 *
 * @param failures from 1
 * @param random in [0, 1)
 */
export function retryDelayMs({
  failures,
  retryAfterMs,
  retryAfterMsMax,
  random,
  baseMs = BASE_MS,
}: {
  failures: number;
  retryAfterMs: number | null;
  retryAfterMsMax: number;
  random: number;
  baseMs?: number;
}): number | null {
  if (retryAfterMs !== null) return retryAfterMs <= retryAfterMsMax ? retryAfterMs : null;
  return fullJitterMs({ attempt: failures, baseMs, capMs: Math.max(baseMs, CAP_MS), random });
}

/** Tries it, again while its failure is one that may pass, and throws the last one. */
export async function withRetries<T>(
  attempt: () => Promise<T>,
  {
    maxRetries,
    retryAfterMsMax,
    signal,
    maySendAgain = () => true,
  }: {
    maxRetries: number;
    retryAfterMsMax: number;
    signal: AbortSignal | undefined;
    /** Of failures that may pass: whether another try does no harm. */
    maySendAgain?: (error: QarrClientError) => boolean;
  },
): Promise<T> {
  for (let failures = 1; ; failures += 1) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof QarrClientError) || !error.retryable) throw error;
      if (failures > maxRetries || !maySendAgain(error)) throw error;
      const { retryAfterMs } = error;
      const random = Math.random();
      const delayMs = retryDelayMs({ failures, retryAfterMs, retryAfterMsMax, random });
      if (delayMs === null) throw error;
      await sleep(delayMs, signal);
    }
  }
}

/** What the headers say, in milliseconds from now; null where they say nothing. */
export function retryAfterMsOf(headers: Headers, nowMs: number): number | null {
  const exact = numberIn(headers.get('retry-after-ms'));
  if (exact !== null) return Math.ceil(exact);
  const text = headers.get('retry-after');
  const seconds = numberIn(text);
  if (seconds !== null) return Math.ceil(seconds * 1_000);
  // Of nearly any text some date can be read.
  const atMs = text?.endsWith(' GMT') === true ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(atMs)) return null;
  // By the server's own clock, where it is told.
  const sentAtMs = Date.parse(headers.get('date') ?? '');
  return Math.max(0, atMs - (Number.isNaN(sentAtMs) ? nowMs : sentAtMs));
}

function numberIn(text: string | null): number | null {
  return text !== null && /^\d{1,12}(?:\.\d{1,6})?$/.test(text) ? Number(text) : null;
}
