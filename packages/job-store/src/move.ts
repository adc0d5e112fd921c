/**
 * Moving a waiting job to another tier, in an order in which each crash between two steps is mended.
 *
 * 1. The ledger of the new tier: its limits are looked at, and the job has its place. Without the next
 *    step no job stands for the entry, and the audit removes it.
 * 2. The record. From here on the job is in the new tier; the entry in the old one is of an epoch that
 *    is over, so whoever pulls it drops it.
 * 3. The entry in the new tier's queue. Where it is missing, it is mended like that of any job.
 * 4. The ledger of the old tier, and 5. its queue entry. What is left there, the audits remove.
 *
 * Whoever comes second, by a breath or by a second, finds the record changed and does nothing.
 */
import type { EntryLimits } from '@qarr/router-core';
import type { RedisClient } from './redis-client.ts';
import { queueOf } from './keys.ts';
import type { Keys } from './keys.ts';
import type { Found, Full, Ledger } from './ledger.ts';
import type { Queues } from './queues.ts';
import { runScript } from './scripts.ts';
import type { PlacedJob } from './waiting.ts';

interface Destination {
  readonly to: string;
  /** What its client is told, and operators count. */
  readonly reason: string;
  readonly limits: EntryLimits;
}

export type MoveOutcome =
  | { readonly kind: 'moved' }
  /** A limit of the other tier is against it. */
  | ({ readonly kind: 'full'; readonly why: Full } & Found)
  /** It is over, runs, was moved by somebody else, or must not be moved any more. */
  | { readonly kind: 'stays' };

export type Move = (job: PlacedJob, destination: Destination) => Promise<MoveOutcome>;

export function createMove({
  redis,
  keys,
  queues,
  ledger,
}: {
  redis: RedisClient;
  keys: Keys;
  queues: Pick<Queues, 'add' | 'erase'>;
  ledger: Pick<Ledger, 'enter' | 'leave'>;
}): Move {
  async function moveRecord(
    { jobId, tier: from, epoch }: PlacedJob,
    { to, reason }: Destination,
  ): Promise<MoveReply> {
    const event = JSON.stringify({ type: 'rerouted', from, to, reason });
    const field = JSON.stringify({ from, reason });
    return (await runScript(redis, 'move', {
      keys: [keys.job(jobId), keys.log(jobId)],
      args: [jobId, from, epoch, to, event, field],
    })) as MoveReply;
  }

  return async (job, destination) => {
    const { jobId, owner, class: jobClass, tokens, leftMs: startWithinMs, tier: from } = job;
    const { to, limits } = destination;
    const entry = { jobId, owner, class: jobClass, tokens, isFallback: true, startWithinMs };
    const entered = await ledger.enter(to, entry, limits);
    if (entered.kind === 'full') return { kind: 'full', why: entered.why, ...entered.found };
    const reply = await moveRecord(job, destination);
    if (reply[0] === 'stays') {
      // Where somebody else has moved it to the same tier, the entry is what stands for it there.
      if (reply[1] !== to) await ledger.leave(to, jobId);
      return { kind: 'stays' };
    }
    await queues.add(to, { jobId, epoch: reply[1], class: jobClass }, entered.priority);
    await ledger.leave(from, jobId);
    // One that a worker of that tier holds stays: it is about to drop it.
    await queues.erase(from, { jobId, epoch: job.epoch, queue: queueOf(jobClass) });
    return { kind: 'moved' };
  };
}

type MoveReply = ['moved', epoch: number] | ['stays', tier: string];
