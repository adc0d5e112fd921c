/**
 * The job store as a server sees it: submit, look up, follow, cancel, and mend what a crash left.
 * It fails fast: a call that Redis does not answer in time throws `queue_unavailable`.
 */
import { QarrError } from '@qarr/router-core';
import type { JobRecord, JobState, NewJob, TierStatus } from '@qarr/router-core';
import { createClosing } from './closing.ts';
import { connectProducer, disconnect, whenReady } from './connections.ts';
import { createFollowers } from './followers.ts';
import type { Followers } from './followers.ts';
import { createKeys } from './keys.ts';
import { createQueues } from './queues.ts';
import { newJobFields, parseRecord } from './record.ts';
import { checkRedis } from './redis-check.ts';
import type { RedisProblems } from './redis-check.ts';
import { DEFAULT_RETENTION, DUE_EVENTS } from './retention.ts';
import type { Retention } from './retention.ts';
import { runScript } from './scripts.ts';
import { createSweeper } from './sweeper.ts';
import { createWorkers, redisNow } from './workers.ts';

/** A reader that has seen nothing for this long looks at the log. */
const FOLLOW_TICK_MS = 15_000;
/** A queued job is given to its queue once more after this time: nothing where it is there. */
const MEND_AFTER_MS = 10_000;

export interface QueuePlace {
  /** 1 is next. */
  readonly position: number;
  /** Null when nobody can tell. */
  readonly estimatedWaitMs: number | null;
}

export interface ProducerStore {
  /** What is wrong with Redis's settings. */
  check(): Promise<RedisProblems>;
  ping(): Promise<void>;
  /**
   * Writes the job, then its queue entry. Calling it again with the same id is safe. `placeAt` says
   * what the client is told of its place behind `depth` jobs that wait.
   */
  submit(job: NewJob, placeAt: (depth: number) => QueuePlace): Promise<QueuePlace>;
  get(jobId: string): Promise<JobRecord | null>;
  follow: Followers['follow'];
  /** Cancels. Returns the state after the call, or null when there is no such job. */
  cancel(jobId: string): Promise<JobState | null>;
  status(tier: string): Promise<TierStatus>;
  /** Expires what has waited too long and mends jobs that never reached their queue. */
  sweep(): Promise<void>;
  stop(): Promise<void>;
}

export async function createProducerStore({
  redisUrl,
  root,
  tiers,
  replicaId,
  retention = DEFAULT_RETENTION,
  followTickMs = FOLLOW_TICK_MS,
  mendAfterMs = MEND_AFTER_MS,
  onError,
}: {
  redisUrl: string;
  /** First part of every Redis key. */
  root?: string | undefined;
  tiers: readonly string[];
  /** Unique to this process. */
  replicaId: string;
  /** Of the jobs that are submitted here. */
  retention?: Retention;
  followTickMs?: number;
  mendAfterMs?: number;
  onError: (error: Error) => void;
}): Promise<ProducerStore> {
  const keys = createKeys(root);
  const redis = connectProducer({ redisUrl, onError });
  await whenReady(redis);
  const queues = createQueues({ redis, keys, tiers, onError });
  const workers = createWorkers({ redis, keys });
  const followers = await createFollowers({
    redisUrl,
    redis,
    keys,
    replicaId,
    tickMs: followTickMs,
    onError,
  });
  const closing = createClosing({ redis, keys });
  const sweeper = createSweeper({ redis, keys, queues, closing, mendAfterMs, onError });

  async function lookUp(jobId: string): Promise<JobRecord | null> {
    return parseRecord(await redis.hgetall(keys.job(jobId)));
  }

  return {
    check: () => answered(checkRedis(redis)),

    async ping() {
      await answered(redis.ping());
    },

    submit: (job, placeAt) =>
      answered(
        (async () => {
          const [now, depth] = await Promise.all([redisNow(redis), queues.depth(job.tier)]);
          const place = placeAt(depth);
          const queued = JSON.stringify({
            type: 'queued',
            tier: job.tier,
            route: job.reasons,
            position: place.position,
            estimated_wait_ms: place.estimatedWaitMs,
          });
          // Indexed first, and for sure: an index entry without a job is tidied up, a job that no
          // index knows would never be found.
          await Promise.all([
            redis.zadd(keys.open, now, job.id),
            redis.zadd(keys.deadlines, now + job.queueTimeoutMs, job.id),
          ]);
          await runScript(redis, 'create', {
            keys: [keys.job(job.id), keys.log(job.id)],
            args: [job.queueTimeoutMs, queued, ...newJobFields(job, retention)],
          });
          await queues.add(job.tier, { jobId: job.id, epoch: 1, class: job.class });
          return place;
        })(),
      ),

    get: (jobId) => answered(lookUp(jobId)),

    follow: followers.follow,

    async cancel(jobId) {
      const reply = (await answered(
        runScript(redis, 'cancel', {
          keys: [keys.job(jobId), keys.log(jobId)],
          args: [jobId, DUE_EVENTS.cancelledUnrun, DUE_EVENTS.cancelledAfterRun],
        }),
      )) as ['gone'] | [JobState, string, number];
      if (reply[0] === 'gone') return null;
      const [state, tier, epoch] = reply;
      if (state === 'running')
        await answered(redis.publish(keys.controlChannel, `cancel ${jobId}`));
      if (state === 'cancelled') {
        // It will not run in any case; this only tidies up.
        await queues.remove(tier, { jobId, epoch }).catch(onError);
        await closing.close(jobId).catch(onError);
      }
      return state;
    },

    status: (tier) =>
      answered(
        (async () => {
          const [depth, alive] = await Promise.all([queues.depth(tier), workers.alive(tier)]);
          return { name: tier, depth, workers: alive };
        })(),
      ),

    sweep: sweeper.sweep,

    async stop() {
      await followers.stop();
      await queues.stop();
      await disconnect(redis);
    },
  };
}

/** A failure of Redis, whatever it was, is one thing to a caller: the outcome is unknown. */
async function answered<T>(promise: Promise<T>): Promise<T> {
  try {
    return await promise;
  } catch (error) {
    // A record that cannot be read is no failure of Redis.
    if (error instanceof QarrError || (error as Error).name === 'ZodError') throw error;
    throw new QarrError('queue_unavailable', { cause: error });
  }
}
