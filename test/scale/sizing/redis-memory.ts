/** What jobs take in Redis: the growth of its memory over many of them. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';

/** Buffers of the append-only file and of connections come and go: the least of some looks counts. */
const LOOKS = 10;
const LOOK_EVERY_MS = 100;

export interface RedisMemory {
  usedBytes(): Promise<number>;
  /** Of a job, with what Redis keeps beside them. */
  recordBytes(jobId: string): Promise<number>;
  logOf(jobId: string): Promise<{ bytes: number; events: number }>;
  stop(): void;
}

export function watchRedisMemory(url: string): RedisMemory {
  const redis = new Redis(url);
  const usedNow = async () => Number(/^used_memory:(\d+)/m.exec(await redis.info('memory'))?.[1]);
  const keyBytes = async (key: string) => (await redis.memory('USAGE', key, 'SAMPLES', 0)) ?? 0;
  return {
    recordBytes: (jobId) => keyBytes(`qarr:{${jobId}}:job`),
    async usedBytes() {
      let least = await usedNow();
      for (let look = 1; look < LOOKS; look += 1) {
        await sleep(LOOK_EVERY_MS);
        least = Math.min(least, await usedNow());
      }
      return least;
    },
    async logOf(jobId) {
      const key = `qarr:{${jobId}}:log`;
      return { bytes: await keyBytes(key), events: await redis.xlen(key) };
    },
    stop: () => redis.disconnect(),
  };
}
