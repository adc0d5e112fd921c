/**
 * Which jobs an owner has: one sorted set of those that are open and one for each way to end, by
 * creation time. Nothing in them outlives its record: `qarr:kept` says when each of those goes.
 */
import { TERMINAL_STATES } from '@qarr/router-core';
import type { TerminalState } from '@qarr/router-core';
import { pipelineOf } from './redis-client.ts';
import type { RedisClient } from './redis-client.ts';
import type { Keys } from './keys.ts';
import type { Step } from './scripts.ts';

/** Entries that one command takes away: well below a millisecond of Redis's time. */
const TRIM_PAGE = 500;
/** Pages in one go. With a sweep each second that is more than any Redis sees jobs end. */
const TRIM_PAGES_MAX = 20;

interface EndedJob {
  readonly jobId: string;
  readonly owner: string;
  readonly state: TerminalState;
  readonly createdAt: number;
  /** When its record goes, by Redis's clock. */
  readonly keptUntil: number;
}

export interface OwnerIndex {
  opened(job: { jobId: string; owner: string; createdAt: number }): Promise<void>;
  /** What notes that it has ended, as steps. */
  ending(job: EndedJob): Step[];
  /** Those of them that do not note when its record goes. */
  moving(job: Omit<EndedJob, 'keptUntil'>): Step[];
  /** Behind those steps: it may have been deleted meanwhile. */
  checkEnded(job: EndedJob): Promise<void>;
  /** Forgets the job, however it ended. */
  remove(job: { jobId: string; owner: string }): Promise<void>;
  /** Forgets the jobs whose record has gone by `now`, in bounded steps. */
  trim(now: number): Promise<void>;
}

export function createOwnerIndex({ redis, keys }: { redis: RedisClient; keys: Keys }): OwnerIndex {
  async function remove({ jobId, owner }: { jobId: string; owner: string }): Promise<void> {
    const pipeline = pipelineOf(redis).zrem(keys.jobsOf(owner, 'open'), jobId);
    for (const state of TERMINAL_STATES) {
      pipeline.zrem(keys.jobsOf(owner, state), jobId);
      pipeline.zrem(keys.kept, keptMember({ jobId, owner, state }));
    }
    await pipeline.exec();
  }

  /** Listed as ended before it is no longer open, so that no reader misses it. */
  function moving({ jobId, owner, state, createdAt }: Omit<EndedJob, 'keptUntil'>): Step[] {
    return [
      { command: 'zadd', keys: [keys.jobsOf(owner, state)], args: [createdAt, jobId] },
      { command: 'zrem', keys: [keys.jobsOf(owner, 'open')], args: [jobId] },
    ];
  }

  return {
    async opened({ jobId, owner, createdAt }) {
      await redis.zadd(keys.jobsOf(owner, 'open'), createdAt, jobId);
    },
    ending(job) {
      const kept: Step = {
        command: 'zadd',
        keys: [keys.kept],
        args: [job.keptUntil, keptMember(job)],
      };
      return [kept, ...moving(job)];
    },
    moving,
    async checkEnded({ jobId, owner, state }) {
      // Deleted meanwhile: by somebody who may have looked here before it was entered.
      if ((await redis.hget(keys.job(jobId), 'state')) !== state) await remove({ jobId, owner });
    },
    remove,
    async trim(now) {
      for (let page = 0; page < TRIM_PAGES_MAX; page += 1) {
        const members = await redis.zrangebyscore(keys.kept, 0, now, 'LIMIT', 0, TRIM_PAGE);
        if (members.length === 0) return;
        const pipeline = pipelineOf(redis);
        for (const [key, jobIds] of groupByIndex(members, keys)) pipeline.zrem(key, ...jobIds);
        await pipeline.exec();
        // Last: what was not forgotten comes again.
        await redis.zrem(keys.kept, ...members);
        if (members.length < TRIM_PAGE) return;
      }
    },
  };
}

/** Its name among the jobs that have ended. */
export function keptMember({
  jobId,
  owner,
  state,
}: Pick<EndedJob, 'jobId' | 'owner' | 'state'>): string {
  return `${state} ${jobId} ${owner}`;
}

/** The jobs of these members by the index they are in. */
function groupByIndex(members: readonly string[], keys: Keys): Map<string, string[]> {
  const groups = new Map<string, string[]>();
  for (const member of members) {
    const [state = '', jobId = '', ...owner] = member.split(' ');
    const key = keys.jobsOf(owner.join(' '), state as TerminalState);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [jobId]);
    else group.push(jobId);
  }
  return groups;
}
