/**
 * Tells whoever watches of jobs whose state a script has changed here, other than at the wish of a
 * caller that knows the job: what names the job is read from its record then.
 */
import type { JobChange, JobClass, JobError } from '@qarr/router-core';
import type { Keys } from './keys.ts';
import type { RedisClient } from './redis-client.ts';

const FIELDS = ['tier', 'class', 'attempt', 'request_id', 'traceparent', 'final'] as const;

export type OnChange = (change: JobChange) => void;

/** A change of a job, but for what it is. */
type Named = Omit<JobChange, 'to'>;

export interface JobChanges {
  /** Null where there is no such job, or nobody watches. */
  read(jobId: string): Promise<Named | null>;
  /** To be called once for each change. Never rejects: the change itself is done. */
  tell(jobId: string, to: JobChange['to'], known?: Named | null): Promise<void>;
}

/** @param onChange not said: nobody watches, and nothing is read */
export function createJobChanges({
  redis,
  keys,
  onChange,
  onError,
}: {
  redis: RedisClient;
  keys: Keys;
  onChange: OnChange | undefined;
  onError: (error: Error) => void;
}): JobChanges {
  async function read(jobId: string): Promise<Named | null> {
    if (onChange === undefined) return null;
    const values = await redis.hmget(keys.job(jobId), ...FIELDS);
    const [tier, jobClass, attempt, requestId, traceparent, final] = values;
    if (!tier) return null;
    return {
      jobId,
      tier,
      class: jobClass as JobClass,
      attempt: Number(attempt ?? 0),
      requestId: requestId || null,
      traceparent: traceparent || null,
      cause: final ? (JSON.parse(final) as { error?: JobError }).error?.code : undefined,
    };
  }

  return {
    read,
    async tell(jobId, to, known) {
      try {
        const job = known === undefined ? await read(jobId) : known;
        if (job !== null) onChange?.({ ...job, to });
      } catch (error) {
        onError(error as Error);
      }
    },
  };
}
