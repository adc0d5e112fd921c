/** Jobs as a server submits them, and all that is to be seen of them afterwards. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { createProducerStore } from '@qarr/job-store';
import { isTerminalType, jobEventSchema } from '@qarr/router-core';
import type { JobEvent, JobRecord, NewJob } from '@qarr/router-core';
import { Redis } from 'ioredis';
import { ANYWHERE } from '../../harness/store.ts';

/** Longer than any row takes: what is not over then never will be. */
const OVER_TIMEOUT_MS = 90_000;
const RUN_TIMEOUT_MS = 120_000;
const SWEEP_EVERY_MS = 1_000;
/** On a machine that has too much to do, a command may take seconds. */
const TRIES_MAX = 5;
/** A page of keys to be deleted. */
const SCAN_COUNT = 1_000;

/** What became of a job. */
export interface Outcome {
  readonly events: readonly JobEvent[];
  /** The numbers of the events. */
  readonly numbers: readonly number[];
  readonly record: JobRecord;
  /** What its attempts have burnt. */
  readonly failures: number;
  readonly spared: number;
}

export interface Jobs {
  /** Returns the new job's id. */
  create(): string;
  submit(
    jobId: string,
    job: Pick<NewJob, 'request' | 'onInterrupt'> & { traceparent: string },
  ): Promise<void>;
  /** Waits until some of its answer is published. */
  untilBegun(jobId: string): Promise<void>;
  untilOver(jobId: string): Promise<Outcome>;
  cancel(jobId: string): Promise<void>;
  /** Deletes all that they and their tier have left in Redis. */
  stop(): Promise<void>;
}

export async function createJobs({
  redisUrl,
  tier,
}: {
  redisUrl: string;
  tier: string;
}): Promise<Jobs> {
  const redis = new Redis(redisUrl);
  redis.on('error', onError);
  const store = await createProducerStore({
    redisUrl,
    tiers: [tier],
    replicaId: randomUUID(),
    onError,
  });
  const jobIds: string[] = [];
  const stopping = new AbortController();
  const sweeping = sweepUntilStopped();

  /** An entry that got lost is found again, as in production. */
  async function sweepUntilStopped(): Promise<void> {
    while (!stopping.signal.aborted) {
      await store.sweep().catch(onError);
      await sleep(SWEEP_EVERY_MS, null, { signal: stopping.signal }).catch(() => {});
    }
  }

  async function readUntil(jobId: string, isEnough: (event: JobEvent) => boolean) {
    const signal = AbortSignal.timeout(OVER_TIMEOUT_MS);
    const events: JobEvent[] = [];
    const numbers: number[] = [];
    for await (const page of store.follow(jobId, { after: 0, signal })) {
      for (const { seq, json } of page) {
        events.push(jobEventSchema.parse(JSON.parse(json)));
        numbers.push(seq);
      }
      if (events.some(isEnough)) return { events, numbers };
    }
    throw new Error(`The job is not over: ${events.map(({ type }) => type).join()}`);
  }

  async function counter(jobId: string, name: string): Promise<number> {
    return Number((await redis.hget(`qarr:{${jobId}}:job`, name)) ?? 0);
  }

  return {
    create() {
      const jobId = `job_${randomUUID().replaceAll('-', '')}`;
      jobIds.push(jobId);
      return jobId;
    },

    async submit(jobId, job) {
      const all: NewJob = {
        id: jobId,
        owner: 'anonymous',
        class: 'standard',
        tier,
        requestedTier: tier,
        reasons: ['pinned'],
        droppedMessages: 0,
        fallback: 'none',
        fits: [tier],
        queueTimeoutMs: RUN_TIMEOUT_MS,
        runTimeoutMs: RUN_TIMEOUT_MS,
        metadata: {},
        ...job,
      };
      await insist(() => store.submit(all, ANYWHERE));
    },

    async untilBegun(jobId) {
      await readUntil(jobId, ({ type }) => type === 'delta' || isTerminalType(type));
    },

    async untilOver(jobId) {
      await readUntil(jobId, ({ type }) => isTerminalType(type));
      // Once more from the beginning: what is in the log, not what came live.
      const { events, numbers } = await readUntil(jobId, ({ type }) => isTerminalType(type));
      const record = await insist(() => store.get(jobId));
      if (record === null) throw new Error('The job has no record.');
      const failures = await counter(jobId, 'failures');
      return { events, numbers, record, failures, spared: await counter(jobId, 'spared') };
    },

    cancel: async (jobId) => void (await insist(() => store.cancel(jobId))),

    async stop() {
      stopping.abort();
      await sweeping;
      await store.stop();
      for (const jobId of jobIds) await redis.del(`qarr:{${jobId}}:job`, `qarr:{${jobId}}:log`);
      for (let cursor = '0'; ;) {
        const pattern = `{qarr:${tier}}:*`;
        const [next, keys] = await redis.scan(cursor, 'MATCH', pattern, 'COUNT', SCAN_COUNT);
        if (keys.length > 0) await redis.del(...keys);
        if (next === '0') break;
        cursor = next;
      }
      await redis.del(`qarr:workers:${tier}`);
      redis.disconnect();
    },
  };
}

/** What becomes of a job shows in its row; a Redis that is slow for a moment is no row's affair. */
function onError(): void {}

/** A producer does not wait for a Redis that is slow; to try again is safe. */
async function insist<Value>(ask: () => Promise<Value>): Promise<Value> {
  for (let left = TRIES_MAX - 1; ; left -= 1) {
    try {
      return await ask();
    } catch (error) {
      if (left === 0) throw error;
    }
  }
}
