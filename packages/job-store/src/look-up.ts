/** Looking at jobs: a record, an answer that is there already, places in queues. */
import type { CachedAnswer, JobClass, JobRecord } from '@qarr/router-core';
import { queueOf } from './keys.ts';
import type { Keys } from './keys.ts';
import type { Queues } from './queues.ts';
import { parseRecord } from './record.ts';
import { pipelineOf } from './redis-client.ts';
import type { RedisClient } from './redis-client.ts';

export interface LookUp {
  get(jobId: string): Promise<JobRecord | null>;
  /** What a tier has answered to this request last, if that is still known. */
  findAnswer(tier: string, requestHash: string): Promise<CachedAnswer | null>;
  /** Where these jobs stand in their queues, 1 being next; null for one that does not wait. */
  placesOf(jobIds: readonly string[]): Promise<(number | null)[]>;
}

export function createLookUp({
  redis,
  keys,
  queues,
}: {
  redis: RedisClient;
  keys: Keys;
  queues: Pick<Queues, 'has' | 'positions'>;
}): LookUp {
  async function get(jobId: string): Promise<JobRecord | null> {
    return parseRecord(await redis.hgetall(keys.job(jobId)));
  }

  return {
    get,

    async findAnswer(tier, requestHash) {
      const jobId = await redis.get(keys.answer(tier, requestHash));
      const record = jobId === null ? null : await get(jobId);
      // It may have been deleted since, or its time is over.
      if (record?.state !== 'completed' || record.result === null) return null;
      return { result: record.result, usage: record.usage };
    },

    async placesOf(jobIds) {
      const pipeline = pipelineOf(redis);
      for (const id of jobIds) pipeline.hmget(keys.job(id), 'state', 'tier', 'class', 'epoch');
      const replies = (await pipeline.exec()) ?? [];
      const waiting = jobIds.flatMap((jobId, at) => {
        const [state, tier, jobClass, epoch] = (replies[at]?.[1] ?? []) as (string | null)[];
        if (state !== 'queued' || !tier || !queues.has(tier)) return [];
        return [{ jobId, tier, queue: queueOf(jobClass as JobClass), epoch: Number(epoch) }];
      });
      const positions = await queues.positions(waiting);
      const places = new Map(waiting.map(({ jobId }, at) => [jobId, positions[at] ?? null]));
      return jobIds.map((jobId) => places.get(jobId) ?? null);
    },
  };
}
