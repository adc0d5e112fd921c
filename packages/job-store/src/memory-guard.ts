/**
 * Closes admission while Redis has still room: a Redis that is full refuses the writes of running
 * jobs too, and a job whose lock cannot be renewed is run twice and lost.
 *
 * Each admission asks Redis how full it is, all of one moment together, which costs Redis 5 us
 * against some 150 of a submission. What this process has admitted and not written yet counts as
 * well; what other replicas write in that moment has its room in the part that is never given away.
 */
import { QarrError } from '@qarr/router-core';
import type { Redis } from 'ioredis';
import { primariesOf } from './redis-client.ts';
import type { RedisClient } from './redis-client.ts';
import { parseInfo } from './redis-check.ts';

/** What a job takes besides its content: record, log, queue entry, indexes. */
const JOB_BYTES = 4_096;

export interface RedisMemory {
  readonly usedBytes: number;
  /** Above it no job is admitted; null where Redis has no limit. */
  readonly limitBytes: number | null;
}

export interface MemoryGuard {
  /**
   * Admits a job with so much content, or throws `storage_full`. Call what is returned when the job
   * is written, or is not.
   */
  admit(contentBytes: number): Promise<() => void>;
  /** The last reading; null when Redis has not been asked. */
  latest(): RedisMemory | null;
  refresh(): Promise<void>;
}

export function createMemoryGuard({
  redis,
  percentMax,
}: {
  redis: RedisClient;
  /** Of Redis's `maxmemory`. */
  percentMax: number;
}): MemoryGuard {
  let latest: RedisMemory | null = null;
  let underWay: Promise<unknown> = Promise.resolve();
  let next: Promise<void> | null = null;
  let admittedBytes = 0;

  async function read(): Promise<void> {
    const readings = await Promise.all(primariesOf(redis).map(readOne));
    // Of a cluster, the node that has the least room: nobody chooses where a job goes.
    latest = readings.reduce<RedisMemory | null>(
      (fullest, one) => (fullest === null || roomIn(one) < roomIn(fullest) ? one : fullest),
      null,
    );
  }

  async function readOne(node: Redis): Promise<RedisMemory> {
    const info = parseInfo(await node.info('memory'));
    const number = (name: string) => Number(info.get(name) ?? 0);
    const limitBytes = (number('maxmemory') * percentMax) / 100;
    // Buffers that Redis does not count against its limit either.
    const usedBytes = number('used_memory') - number('mem_not_counted_for_evict');
    return { usedBytes, limitBytes: limitBytes === 0 ? null : limitBytes };
  }

  /** A reading that begins after this call; one serves all who wait for it. */
  function refresh(): Promise<void> {
    next ??= underWay.then(() => {
      next = null;
      const reading = read();
      underWay = reading.catch(() => {});
      return reading;
    });
    return next;
  }

  return {
    latest: () => latest,
    refresh,
    async admit(contentBytes) {
      // Whether there is a limit at all is looked at by whoever refreshes now and then.
      if (latest?.limitBytes !== null) await refresh();
      const bytes = contentBytes + JOB_BYTES;
      const { usedBytes = 0, limitBytes = null } = latest ?? {};
      if (limitBytes !== null && usedBytes + admittedBytes + bytes > limitBytes) {
        throw new QarrError('storage_full');
      }
      admittedBytes += bytes;
      return () => void (admittedBytes -= bytes);
    },
  };
}

function roomIn({ usedBytes, limitBytes }: RedisMemory): number {
  return limitBytes === null ? Number.POSITIVE_INFINITY : limitBytes - usedBytes;
}
