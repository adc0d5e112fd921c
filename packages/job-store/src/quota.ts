/**
 * The limits of API keys, which all replicas share: requests in a minute, open jobs, tokens in a day.
 *
 * A job takes its place and its tokens before it is written, and gives them back when it is closed,
 * but for the tokens that it has used. Where a crash leaves a place without a job, its time runs out.
 *
 * Several may write the same job at once, under its idempotency key. What it holds is given back when
 * the last of them has given up.
 */
import type { JobQuota, NewJob, TerminalEvent } from '@qarr/router-core';
import type { RedisClient } from './redis-client.ts';
import { WORKER_GRACE_MS } from './deadlines.ts';
import type { Keys, RequestKind } from './keys.ts';
import { runScript } from './scripts.ts';
import type { Step } from './scripts.ts';

/** After its time to run, the sweep ends a job and closes it; it may be busy, or Redis away. */
const CLOSING_MS = 60_000;

/** What is left of a key's tokens. */
export interface TokenBudget {
  /** Null: as many as are asked for. */
  readonly limit: number | null;
  readonly used: number;
  /** Until all of them are there again. */
  readonly resetMs: number;
}

export interface RequestCount {
  readonly isAllowed: boolean;
  /** Until another one of this kind is allowed. */
  readonly retryAfterMs: number;
  /** Requests of this minute that make jobs. */
  readonly submits: { readonly used: number; readonly resetMs: number };
  readonly tokens: Omit<TokenBudget, 'limit'>;
}

export type EnteredQuota =
  | { readonly kind: 'entered' | 'known'; readonly budget: TokenBudget }
  | { readonly kind: OverQuota; readonly budget: TokenBudget };

/** Which limit is against a job. */
export type OverQuota = 'concurrency' | 'tokens';

export interface Quotas {
  /** Counts a request, unless there were too many. `max`: in a minute; null: it is only looked. */
  count(keyId: string, kind: RequestKind, max: number | null): Promise<RequestCount>;
  /**
   * Takes a place and tokens for a job; one that has them keeps them. Of a line of a batch, of which a
   * window waits beside all else, only tokens.
   */
  enter(job: HeldJob, writer: string): Promise<EnteredQuota>;
  /** Gives back what a job holds, unless somebody else may write it. Doing it twice does no harm. */
  giveUp(hold: Hold): Promise<void>;
  /** Gives back what a job held, as a step. `tokens`: what it has used; null: all that were taken. */
  leaving(keyId: string, jobId: string, tokens: number | null): Step;
}

/** What one submission has taken for a job. */
export interface Hold {
  readonly keyId: string;
  readonly jobId: string;
  /** Unique to the submission. */
  readonly writer: string;
}

export type HeldJob = Pick<NewJob, 'id' | 'queueTimeoutMs' | 'runTimeoutMs' | 'batch'> & {
  quota: JobQuota;
};

export function createQuotas({ redis, keys }: { redis: RedisClient; keys: Keys }): Quotas {
  return {
    async count(keyId, kind, max) {
      const counters = [keys.requests(keyId, kind), keys.requests(keyId, 'submits')];
      const [isAllowed, submits, resetMs, tokens, tokensResetMs, retryAfterMs] = (await runScript(
        redis,
        'quota-count',
        { keys: [...keys.holds(keyId), ...counters], args: [max ?? ''] },
      )) as [number, number, number, number, number, number];
      return {
        isAllowed: isAllowed === 1,
        retryAfterMs,
        submits: { used: submits, resetMs },
        tokens: { used: tokens, resetMs: tokensResetMs },
      };
    },

    async enter(job, writer) {
      const call = { keys: keys.holds(job.quota.keyId), args: quotaArgs(job, writer) };
      return parseQuota(job, (await runScript(redis, 'quota-enter', call)) as QuotaReply);
    },

    async giveUp({ keyId, jobId, writer }) {
      const args = [jobId, writer];
      await runScript(redis, 'quota-give-up', { keys: keys.holds(keyId), args });
    },

    leaving: (keyId, jobId, tokens) => ({
      script: 'quota-leave',
      keys: keys.holds(keyId),
      args: [jobId, tokens ?? ''],
    }),
  };
}

/** What `quota-enter` takes. */
export function quotaArgs({ id, quota, ...job }: HeldJob, writer: string): (string | number)[] {
  const limits = [quota.concurrency ?? '', quota.tokensPerDay ?? ''];
  const isPlaceless = job.batch === undefined ? 0 : 1;
  return [id, openMsMax(job), Math.ceil(quota.tokens), ...limits, writer, isPlaceless];
}

export type QuotaReply = [EnteredQuota['kind'], used: number, resetMs: number];

export function parseQuota({ quota }: HeldJob, [kind, used, resetMs]: QuotaReply): EnteredQuota {
  return { kind, budget: { limit: quota.tokensPerDay, used, resetMs } };
}

/** A job may wait once more for its time to run where it must run alone. */
function openMsMax({
  queueTimeoutMs,
  runTimeoutMs,
}: Omit<HeldJob, 'id' | 'quota' | 'batch'>): number {
  return queueTimeoutMs + 2 * runTimeoutMs + WORKER_GRACE_MS + CLOSING_MS;
}

/** What is known of a job that has ended, or was deleted. */
interface Spent {
  readonly attempt: number;
  /** Its last event; null where it was removed before its end. */
  readonly final: TerminalEvent | null;
  /** Generated by all attempts; null where nobody has counted. */
  readonly tokensMade: number | null;
  /** As they were estimated. */
  readonly promptTokens: number;
}

/** What a job has used; null where nobody can tell, so that it is all that was taken. */
export function tokensUsed({ attempt, final, tokensMade, promptTokens }: Spent): number | null {
  if (attempt === 0) return 0;
  if (final === null) return null;
  if (!('usage' in final)) return null;
  if (final.usage !== null) return final.usage.total_tokens;
  if (final.type === 'completed') return null;
  const made = 'tokens' in final ? final.tokens : tokensMade;
  // Nobody pays for an engine that failed, but for a prompt that took all of its time.
  if (made === 0 && final.type === 'failed' && final.error.code !== 'run_timeout') return 0;
  return made === null ? null : promptTokens + made;
}
