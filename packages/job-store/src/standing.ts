/** How jobs stand: the few fields that tell whoever runs one whether it may go on. */
import type { JobState } from '@qarr/router-core';
import { pipelineOf } from './redis-client.ts';
import type { RedisClient } from './redis-client.ts';
import type { Keys } from './keys.ts';

/** Records read in one go: Redis is kept from others for no longer than a millisecond. */
const LOOK_PAGE = 500;

export interface JobStanding {
  readonly state: JobState;
  readonly attempt: number;
  readonly cancelRequested: boolean;
}

/** In the order of the ids; null for a job that is gone. */
export async function look(
  redis: RedisClient,
  keys: Keys,
  jobIds: readonly string[],
): Promise<(JobStanding | null)[]> {
  const standings: (JobStanding | null)[] = [];
  for (let at = 0; at < jobIds.length; at += LOOK_PAGE) {
    const pipeline = pipelineOf(redis);
    for (const jobId of jobIds.slice(at, at + LOOK_PAGE)) {
      pipeline.hmget(keys.job(jobId), 'state', 'attempt', 'cancel');
    }
    for (const [error, fields] of (await pipeline.exec()) ?? []) {
      if (error !== null) throw error;
      standings.push(standingOf(fields as (string | null)[]));
    }
  }
  return standings;
}

function standingOf([state, attempt, cancel]: (string | null)[]): JobStanding | null {
  if (!state) return null;
  return { state: state as JobState, attempt: Number(attempt), cancelRequested: cancel === '1' };
}
