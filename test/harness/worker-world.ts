/** A Redis, an engine and real workers of the tier `fast`, whom a test kills and freezes. */
import type { ProducerStore } from '@qarr/job-store';
import { QarrError } from '@qarr/router-core';
import type { JobEvent, JobRecord, NewJob } from '@qarr/router-core';
import { startEngineProcess } from './engine-process.ts';
import type { EngineProcess } from './engine-process.ts';
import { readLog } from './job-log.ts';
import { createOwnRedis } from './own-redis.ts';
import { ANYWHERE, createStores, newJob } from './store.ts';
import type { Stores } from './store.ts';
import { waitUntil } from './wait-until.ts';
import { startWorkerProcess } from './worker-process.ts';
import type { WorkerProcess } from './worker-process.ts';

export interface WorkerWorld {
  readonly redis: Awaited<ReturnType<typeof createOwnRedis>>;
  readonly stores: Stores;
  readonly store: ProducerStore;
  readonly engine: EngineProcess;
  startWorker(environment?: Readonly<Record<string, string>>): Promise<WorkerProcess>;
  /** Of so many tokens; it is carried on where it is interrupted. */
  submit(options: { tokens: number } & Partial<NewJob>): Promise<string>;
  record(jobId: string): Promise<JobRecord>;
  events(jobId: string): Promise<JobEvent[]>;
  /** Waits until the log has this event, in so far as it is given. */
  sees<Type extends JobEvent['type']>(
    jobId: string,
    type: Type,
    matches?: (event: Extract<JobEvent, { type: Type }>) => boolean,
  ): Promise<Extract<JobEvent, { type: Type }>>;
}

export async function startWorkerWorld(...engineFlags: readonly string[]): Promise<WorkerWorld> {
  const redis = await createOwnRedis();
  // Workers have no name for their keys but the one of production.
  const stores = createStores({ redisUrl: redis.url, root: 'qarr' });
  const [store, engine] = await Promise.all([
    stores.producer(),
    startEngineProcess('--profile=awq-24gb', ...engineFlags),
  ]);
  const events = (jobId: string) => readLog({ ...stores, jobId });
  return {
    redis,
    stores,
    store,
    engine,
    events,
    startWorker: (environment = {}) =>
      startWorkerProcess({
        REDIS_URL: redis.url,
        QARR_UPSTREAM_URL: engine.url,
        QARR_WARMUP_REQUESTS: '1',
        ...environment,
      }),
    async submit({ tokens, ...fields }) {
      const job = newJob({
        onInterrupt: 'continue',
        queueTimeoutMs: 600_000,
        request: {
          messages: [{ role: 'user', content: 'Tell me a story.' }],
          max_tokens: tokens,
          temperature: 0,
          ignore_eos: true,
        },
        ...fields,
      });
      await answered(() => store.submit(job, ANYWHERE));
      return job.id;
    },
    async record(jobId) {
      const record = await answered(() => store.get(jobId));
      if (record === null) throw new Error(`No ${jobId}`);
      return record;
    },
    sees(jobId, type, matches = () => true) {
      return waitUntil(
        `a ${type} of ${jobId}`,
        async () => {
          for (const event of await events(jobId)) {
            if (isOf(event, type) && matches(event)) return event;
          }
          return null;
        },
        { timeoutMs: 60_000, everyMs: 20 },
      );
    },
  };
}

/** On a machine that is busy with tests Redis may not answer in time: that is not what is tested. */
async function answered<T>(call: () => Promise<T>): Promise<T> {
  return waitUntil('Redis answers', async () => {
    try {
      return { answer: await call() };
    } catch (error) {
      if (error instanceof QarrError && error.code === 'queue_unavailable') return null;
      throw error;
    }
  }).then(({ answer }) => answer);
}

function isOf<Type extends JobEvent['type']>(
  event: JobEvent,
  type: Type,
): event is Extract<JobEvent, { type: Type }> {
  return event.type === type;
}
