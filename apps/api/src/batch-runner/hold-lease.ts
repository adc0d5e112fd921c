/**
 * One runner at a time runs batches: the one with the lease. Its term lasts as long as it can renew the
 * lease; a term that is over leaves nothing behind that another needs.
 *
 * - standing by: another has the lease. Asks for it again and again.
 * - in office: `serve` runs. Ends when the lease is lost or cannot be renewed in time, and when this
 *   process is told to stop, after which the lease is given up so that another need not wait for its end.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { BatchRuns, RunnerLease } from '@qarr/job-store';

/** Three tries before it ends. */
const RENEW_MS = 2_500;
/** Another takes over so long after the end of a lease at the latest, within 15 s of a crash. */
const STAND_BY_MS = 1_000;

export interface Term {
  readonly epoch: number;
  /** By Redis's clock, in milliseconds: nothing is written for this term from then on. */
  validUntil(): number;
  /** Redis's clock, as it was told by the last lease. */
  now(): number;
  /** Greater each time, also in a later term of this process. */
  nextNumber(): number;
  /** Aborted when the term is over, or this process is to stop. */
  readonly signal: AbortSignal;
}

export async function holdLease({
  runs,
  runnerId,
  signal,
  serve,
  onTerm,
}: {
  runs: Pick<BatchRuns, 'lease' | 'release'>;
  runnerId: string;
  signal: AbortSignal;
  /** Resolves soon after the signal of its term is aborted. */
  serve: (term: Term) => Promise<void>;
  onTerm: (change: 'begun' | 'over', epoch: number) => void;
}): Promise<void> {
  let number = 0;
  while (!signal.aborted) {
    // Redis is gone for now: asked again.
    const askedAtMs = performance.now();
    const lease = await runs.lease(runnerId).catch(() => null);
    if (lease !== null) await serveTerm(lease, askedAtMs);
    if (!signal.aborted) await pause(STAND_BY_MS, signal);
  }
  await runs.release(runnerId).catch(() => {
    // It ends by itself.
  });

  async function serveTerm(first: RunnerLease, leaseAskedAtMs: number): Promise<void> {
    const over = new AbortController();
    const stopping = AbortSignal.any([signal, over.signal]);
    let lease = first;
    let askedAtMs = leaseAskedAtMs;
    const term: Term = {
      epoch: first.epoch,
      validUntil: () => lease.validUntil,
      now: () => Math.floor(lease.now + performance.now() - askedAtMs),
      nextNumber: () => (number += 1),
      signal: stopping,
    };

    // Also while it stops: what is collected is still to be committed.
    const served = new AbortController();
    const renewing = (async () => {
      while (!served.signal.aborted && !over.signal.aborted) {
        await pause(RENEW_MS, served.signal);
        const asksAtMs = performance.now();
        try {
          const renewed = await runs.lease(runnerId);
          if (renewed?.epoch !== first.epoch) over.abort();
          else [lease, askedAtMs] = [renewed, asksAtMs];
        } catch {
          // Redis is gone for now.
          if (term.now() >= lease.validUntil) over.abort();
        }
      }
    })();
    onTerm('begun', first.epoch);
    try {
      await serve(term);
    } finally {
      served.abort();
      await renewing;
      onTerm('over', first.epoch);
    }
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, null, { signal }).catch(() => {});
}
