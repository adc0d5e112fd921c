/**
 * Idempotency keys: a key that a client has chosen stands for one job, for a day by default.
 *
 * A key is *reserved* with the id of its job before anything of the job is written. Whoever finds it
 * reserved may finish the writing, under the same id. It is *written* once the job is known to
 * exist: from then on nobody writes it again, also when it has been removed.
 */
import type { RedisClient } from './redis-client.ts';
import type { IdempotencyKey } from '@qarr/router-core';
import type { Keys } from './keys.ts';
import { runScript, takeSteps } from './scripts.ts';
import type { Step } from './scripts.ts';

type KeyStanding =
  | { readonly kind: 'reserved'; readonly jobId: string }
  | { readonly kind: 'written'; readonly jobId: string }
  /** It was first used with another request. */
  | { readonly kind: 'other_body' };

export interface Idempotency {
  /** Null where nobody has used the key. */
  find(owner: string, key: IdempotencyKey): Promise<KeyStanding | null>;
  /** Reserves the key for this job, unless it is taken. Returns how it stands then. */
  take(owner: string, key: IdempotencyKey, jobId: string): Promise<KeyStanding>;
  markWritten(owner: string, key: string, jobId: string): Promise<void>;
}

export function createIdempotency({
  redis,
  keys,
  ttlMs,
}: {
  redis: RedisClient;
  keys: Keys;
  /** How long a key stands, from its first use. */
  ttlMs: number;
}): Idempotency {
  return {
    async find(owner, { key, bodyHash }) {
      const name = keys.idempotency(owner, key);
      const [jobId, body, written] = await redis.hmget(name, 'job', 'body', 'written');
      if (!jobId || !body) return null;
      return standing([jobId, body, written ?? '0'], bodyHash);
    },
    async take(owner, { key, bodyHash }, jobId) {
      const taken = await runScript(redis, 'take-key', {
        keys: [keys.idempotency(owner, key)],
        args: [jobId, bodyHash, ttlMs],
      });
      return standing(taken as TakenKey, bodyHash);
    },
    async markWritten(owner, key, jobId) {
      await takeSteps(redis, [markingWritten(keys, { owner, key, jobId })]);
    },
  };
}

/** Notes that the job of a key has been written, as a step: for those who know it by its record alone. */
export function markingWritten(
  keys: Keys,
  { owner, key, jobId }: { owner: string; key: string; jobId: string },
): Step {
  return { script: 'mark-key', keys: [keys.idempotency(owner, key)], args: [jobId] };
}

type TakenKey = [jobId: string, bodyHash: string, written: string];

function standing([jobId, body, written]: TakenKey, bodyHash: string): KeyStanding {
  if (body !== bodyHash) return { kind: 'other_body' };
  return { kind: written === '1' ? 'written' : 'reserved', jobId };
}
