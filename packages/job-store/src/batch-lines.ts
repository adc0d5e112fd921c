/**
 * The lines of batches as jobs: in place of its owner's index, the job of a line is in the sets of its
 * batch, as long as the line has no durable outcome. Its record is kept until then, and goes with it.
 */
import { lineJobId } from '@qarr/router-core';
import type { BatchLineRef } from '@qarr/router-core';
import type { RedisClient } from './redis-client.ts';
import { answered } from './answered.ts';
import type { Keys } from './keys.ts';
import { runScript, runScriptForEach } from './scripts.ts';
import type { Step } from './scripts.ts';

/** So long a runner may be down without losing what its lines have answered. */
export const LINE_KEPT_MS = 30 * 24 * 3_600_000;
/** So long a job that somebody has followed outlives its outcome: its reader may be behind. */
const FOLLOWED_MS = 60_000;
/** Jobs that are forgotten at once: some milliseconds of Redis's time. */
const FORGET_PAGE = 200;

export interface BatchLines {
  /** Its job is open. */
  opened(line: Pick<BatchLineRef, 'batchId' | 'line'>): Promise<void>;
  /**
   * Its job has ended or was deleted. Returns false where its outcome is durable already: nobody will
   * come for the job, which is forgotten.
   */
  ended(line: Pick<BatchLineRef, 'batchId' | 'line'>): Promise<boolean>;
  /** What notes that it has ended, as a step; its reply is 0 where `forgetLate` is to follow. */
  ending(line: Pick<BatchLineRef, 'batchId' | 'line'>): Step;
  /** Forgets the job of a line whose outcome was durable before it ended. */
  forgetLate(line: Pick<BatchLineRef, 'batchId' | 'line'>): Promise<void>;
  /** In ascending order: those whose jobs are in the system. */
  inSystem(batchId: string): Promise<number[]>;
  /** Removes the jobs of these lines, as far as they are committed. */
  forget(batchId: string, lines: readonly number[]): Promise<void>;
  /** The same of all that are committed: a runner may have died before it did it. */
  forgetAll(batchId: string): Promise<void>;
}

export function createBatchLines({ redis, keys }: { redis: RedisClient; keys: Keys }): BatchLines {
  async function say(
    { batchId, line }: Pick<BatchLineRef, 'batchId' | 'line'>,
    where: 'open' | 'ended',
  ): Promise<boolean> {
    const call = { keys: keys.batch(batchId), args: [line, where] };
    return (await runScript(redis, 'batch-line', call)) === 1;
  }

  function forgetting({ batchId, line }: Pick<BatchLineRef, 'batchId' | 'line'>) {
    const jobId = lineJobId(batchId, line);
    return { keys: [keys.job(jobId), keys.log(jobId)], args: [FOLLOWED_MS] };
  }

  async function forgetPage(batchId: string, lines: readonly (number | string)[]): Promise<void> {
    if (lines.length === 0) return;
    const committedKey = keys.batch(batchId)[5];
    const isCommitted = await redis.smismember(committedKey, ...lines);
    const committed = lines.filter((_, at) => isCommitted[at] === 1);
    if (committed.length === 0) return;
    const calls = committed.map((line) => forgetting({ batchId, line: Number(line) }));
    for (const reply of await runScriptForEach(redis, 'forget', calls)) {
      if (reply instanceof Error) throw reply;
    }
    // Last: what was not forgotten comes again.
    await redis.srem(committedKey, ...committed);
  }

  return {
    async opened(line) {
      await say(line, 'open');
    },
    async ended(line) {
      const isAwaited = await say(line, 'ended');
      if (!isAwaited) await runScript(redis, 'forget', forgetting(line));
      return isAwaited;
    },
    ending: ({ batchId, line }) => ({
      script: 'batch-line',
      keys: keys.batch(batchId),
      args: [line, 'ended'],
      goOn: ['1'],
    }),
    async forgetLate(line) {
      await runScript(redis, 'forget', forgetting(line));
    },
    async inSystem(batchId) {
      const [, , , open, ended] = keys.batch(batchId);
      const lines = await redis.sunion(open, ended);
      return lines.map(Number).toSorted((one, other) => one - other);
    },
    async forget(batchId, lines) {
      for (let at = 0; at < lines.length; at += FORGET_PAGE) {
        await answered(forgetPage(batchId, lines.slice(at, at + FORGET_PAGE)));
      }
    },
    async forgetAll(batchId) {
      let cursor = '0';
      do {
        const page = await redis.sscan(keys.batch(batchId)[5], cursor, 'COUNT', FORGET_PAGE);
        const lines = page[1];
        cursor = page[0];
        for (let at = 0; at < lines.length; at += FORGET_PAGE) {
          await forgetPage(batchId, lines.slice(at, at + FORGET_PAGE));
        }
      } while (cursor !== '0');
    },
  };
}
