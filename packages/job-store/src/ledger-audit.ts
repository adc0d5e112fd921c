/**
 * Looks through the ledgers for entries that no job stands for: of a submission that was given up, of
 * a job that has ended or was moved to another tier while the process that should have said so died.
 */
import { isTerminalState } from '@qarr/router-core';
import type { JobState } from '@qarr/router-core';
import { pipelineOf } from './redis-client.ts';
import type { RedisClient } from './redis-client.ts';
import type { Keys } from './keys.ts';
import type { Ledger } from './ledger.ts';
import { redisNow } from './workers.ts';

export interface LedgerAudit {
  /** Looks at about so many entries more. Returns true at the end of the last ledger. */
  next(count: number): Promise<boolean>;
}

export function createLedgerAudit({
  redis,
  keys,
  tiers,
  ledger,
  newForMs,
}: {
  redis: RedisClient;
  keys: Keys;
  tiers: readonly string[];
  ledger: Pick<Ledger, 'leave'>;
  /** An entry without a job is left alone for so long: its record may be about to be written. */
  newForMs: number;
}): LedgerAudit {
  let place = 0;
  let cursor = '0';

  async function removeOrphans(
    tier: string,
    entries: readonly { jobId: string; enteredAt: number }[],
  ): Promise<void> {
    const now = await redisNow(redis);
    const pipeline = pipelineOf(redis);
    for (const { jobId } of entries) pipeline.hmget(keys.job(jobId), 'state', 'tier');
    const replies = (await pipeline.exec()) ?? [];
    for (const [at, { jobId, enteredAt }] of entries.entries()) {
      const [error, values] = replies[at] ?? [new Error('No reply'), null];
      // What cannot be read is not known to be over.
      if (error !== null || enteredAt > now - newForMs) continue;
      const [state, current] = values as (string | null)[];
      const isHere = current === tier && !isTerminalState(state as JobState);
      if (!state || !isHere) await ledger.leave(tier, jobId);
    }
  }

  return {
    async next(count) {
      const tier = tiers[place];
      if (tier === undefined) {
        place = 0;
        return true;
      }
      const [nextCursor, found] = await redis.hscan(keys.ledger(tier)[0], cursor, 'COUNT', count);
      const entries = pairs(found).map(([jobId, entry]) => ({
        jobId,
        enteredAt: timeOf(entry),
      }));
      if (entries.length > 0) await removeOrphans(tier, entries);
      cursor = nextCursor;
      if (cursor === '0') place += 1;
      return false;
    },
  };
}

/** The fifth word of an entry, see `ledger.lua`. */
function timeOf(entry: string): number {
  return Number(entry.split(' ', 5)[4]);
}

function pairs(flat: readonly string[]): [string, string][] {
  return flat.flatMap((field, at) => (at % 2 === 0 ? [[field, flat[at + 1] ?? '']] : []));
}
