/**
 * Writing a job step by step, in an order in which each crash between two of them is mended: the quota
 * of its API key, the ledger of its tier, the indexes (an entry without a job is tidied up, a job that
 * no index knew would never be found), the record and its first events.
 */
import { placeFound } from '@qarr/router-core';
import type { NewJob, QueuePlace } from '@qarr/router-core';
import { queuedEvent, reroutedEvent } from './first-events.ts';
import { entryOfNew, latestWrite } from './job-writing.ts';
import type { CreateReply, JobWriting, Written } from './job-writing.ts';
import type { Keys } from './keys.ts';
import type { Ledger } from './ledger.ts';
import type { Quotas } from './quota.ts';
import type { RedisClient } from './redis-client.ts';
import type { Replicas } from './replicas.ts';
import { runScript } from './scripts.ts';

/** The steps that a job without a place has as well. */
export interface WritingInTurn extends JobWriting {
  /** The indexes, then the record and its first events. */
  create(
    job: NewJob,
    options: {
      /** By Redis's clock. */
      now: number;
      place: QueuePlace;
      fields: readonly string[];
      /** Further ones of a job that is answered already. */
      events?: readonly string[];
    },
  ): Promise<Pick<Written, 'created' | 'isRetried' | 'isListed' | 'queued'>>;
  /** Returns false where it was in one of them: of a try before. */
  enterIndexes(job: Pick<NewJob, 'id' | 'queueTimeoutMs'>, now: number): Promise<boolean>;
}

export function createWritingInTurn({
  redis,
  keys,
  ledger,
  quotas,
  replicas,
  createWithinMs,
}: {
  redis: RedisClient;
  keys: Keys;
  ledger: Pick<Ledger, 'enter'>;
  quotas: Pick<Quotas, 'enter'>;
  replicas: Pick<Replicas, 'bind'>;
  createWithinMs: number;
}): WritingInTurn {
  const enterIndexes: WritingInTurn['enterIndexes'] = async ({ id, queueTimeoutMs }, now) => {
    const entered = await Promise.all([
      redis.zadd(keys.open, 'NX', now, id),
      redis.zadd(keys.deadlines, 'NX', now + queueTimeoutMs, id),
    ]);
    return entered.every((added) => added === 1);
  };

  const create: WritingInTurn['create'] = async (
    job,
    { now, place, fields, events = ['', '', ''] },
  ) => {
    const queued = queuedEvent(job, place);
    const [isEntered] = await Promise.all([
      enterIndexes(job, now),
      job.isBound === true ? replicas.bind(job.id, now) : null,
    ]);
    const latest = latestWrite(job, { now, createWithinMs });
    const head = [job.queueTimeoutMs, latest, queued, reroutedEvent(job), job.id];
    const created = (await runScript(redis, 'create', {
      keys: [keys.job(job.id), keys.log(job.id)],
      args: [...head, ...events, ...fields],
    })) as CreateReply;
    return { created, isRetried: !isEntered, isListed: false, queued };
  };

  return {
    create,
    enterIndexes,
    async write(job, { placement, fields, writer }) {
      const { quota, tier } = job;
      const taken = quota === undefined ? null : await quotas.enter({ ...job, quota }, writer);
      if (taken?.kind === 'concurrency' || taken?.kind === 'tokens') {
        return { kind: 'over_quota', why: taken.kind, budget: taken.budget };
      }
      const entered = await ledger.enter(tier, entryOfNew(job, placement), placement.limits);
      if (entered.kind === 'full') return { kind: 'full', why: entered.why, ...entered.found };
      const { now, priority, found } = entered;
      const place = placeFound(placement.pace, { class: job.class, ...found });
      const written = await create(job, { now, place, fields });
      const budget = taken?.budget ?? null;
      return { kind: 'written', ...written, now, priority, found, place, budget };
    },
  };
}
