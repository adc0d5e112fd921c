/** Writing a job in one script: nobody sees it half done, and no crash leaves it so. */
import { QarrError } from '@qarr/router-core';
import type { NewJob } from '@qarr/router-core';
import { queuedHead, reroutedEvent } from './first-events.ts';
import { entryOfNew, latestWrite } from './job-writing.ts';
import type { CreateReply, JobWriting, Wrote } from './job-writing.ts';
import type { Keys } from './keys.ts';
import { enterArgs, parseEntered } from './ledger.ts';
import type { EnterReply } from './ledger.ts';
import { parseQuota, quotaArgs } from './quota.ts';
import type { QuotaReply } from './quota.ts';
import type { RedisClient } from './redis-client.ts';
import type { RedisClock } from './redis-clock.ts';
import { runScript } from './scripts.ts';
import type { ScriptCall } from './scripts.ts';
import type { Placement } from './submission.ts';

/**
 * Whoever submits has been answered after a second that nobody knows whether the job is there: one that
 * Redis, which stood still, would write later runs for nobody. The clock is behind by one answer.
 */
const WRITTEN_WITHIN_MS = 2_000;
/** The further events of a job that is answered already. */
const NO_ANSWER = ['', '', ''];

export function createWritingAsOne({
  redis,
  keys,
  clock,
  replicaId,
  createWithinMs,
}: {
  redis: RedisClient;
  keys: Keys;
  clock: Pick<RedisClock, 'now'>;
  replicaId: string;
  createWithinMs: number;
}): JobWriting {
  return {
    async write(job, { placement, fields, writer }) {
      const withinMs = Math.min(createWithinMs, WRITTEN_WITHIN_MS);
      const latest = latestWrite(job, { now: await clock.now(), createWithinMs: withinMs });
      const quota = job.quota === undefined ? [] : quotaArgs({ ...job, quota: job.quota }, writer);
      const entry = enterArgs(entryOfNew(job, placement), placement.limits);
      const call = {
        keys: keysOf(job),
        args: [
          job.isBound === true ? replicaId : '',
          job.batch?.line ?? '',
          quota.length,
          ...quota,
          entry.length,
          ...entry,
          ...paceArgs(placement),
          job.queueTimeoutMs,
          latest,
          queuedHead(job),
          reroutedEvent(job),
          job.id,
          ...NO_ANSWER,
          ...fields,
        ],
      } satisfies ScriptCall;
      return parse(job, (await runScript(redis, 'submit', call)) as SubmitReply);
    },
  };

  function keysOf({ id, tier, owner, batch, isBound, quota }: NewJob): string[] {
    const list = batch === undefined ? keys.jobsOf(owner, 'open') : keys.open;
    const bound = isBound === true ? [keys.bound(replicaId), keys.replicas] : [];
    const ofBatch = batch === undefined ? [] : keys.batch(batch.batchId);
    const holds = quota === undefined ? [] : keys.holds(quota.keyId);
    const record = [keys.job(id), keys.log(id)];
    return [
      ...record,
      keys.open,
      keys.deadlines,
      ...keys.ledger(tier),
      list,
      ...bound,
      ...ofBatch,
      ...holds,
    ];
  }
}

/** What `place` takes of it. */
export function paceArgs({ pace }: Pick<Placement, 'pace'>): (string | number)[] {
  const { slots, liveWorkers, tokensPerS, breaker, retryInMs } = pace;
  return [slots, liveWorkers, tokensPerS ?? '', breaker, retryInMs ?? ''];
}

type SubmitReply =
  | ['late']
  | ['over_quota', QuotaReply]
  | ['full', QuotaReply | [], EnterReply]
  | [
      'written',
      QuotaReply | [],
      EnterReply,
      CreateReply,
      queued: string,
      position: number,
      waitMs: string,
      isRetried: 0 | 1,
    ];

function parse(job: NewJob, reply: SubmitReply): Wrote {
  if (reply[0] === 'late') throw new QarrError('queue_unavailable');
  const quota = job.quota === undefined ? null : { ...job, quota: job.quota };
  const taken = quota === null || reply[1].length === 0 ? null : parseQuota(quota, reply[1]);
  if (reply[0] === 'over_quota') {
    if (taken?.kind !== 'concurrency' && taken?.kind !== 'tokens') throw unexpected();
    return { kind: 'over_quota', why: taken.kind, budget: taken.budget };
  }
  const entered = parseEntered(reply[2]);
  if (reply[0] === 'full') {
    if (entered.kind !== 'full') throw unexpected();
    return { kind: 'full', why: entered.why, ...entered.found };
  }
  if (entered.kind !== 'entered') throw unexpected();
  const { now, priority, found } = entered;
  const [, , , created, queued, position, waitMs, isRetried] = reply;
  return {
    kind: 'written',
    created,
    isRetried: isRetried === 1,
    isListed: true,
    now,
    priority,
    found,
    place: { position, estimatedWaitMs: waitMs === '-1' ? null : Number(waitMs) },
    queued,
    budget: taken?.budget ?? null,
  };
}

function unexpected(): Error {
  return new Error('The script that writes a job has replied what it cannot');
}
