/**
 * What the workers of a tier know together of their engines: whose breaker is open for all of them, and
 * who may probe it.
 *
 * Failures are counted by each worker for itself. A breaker that opens there is a vote; two of them,
 * or one where no other live worker has that engine, open it for all, so that a worker whose own
 * network is bad trips itself only. From then on who holds the lease of its probe speaks for all, until
 * it is closed again.
 *
 * Without Redis each worker goes by what it has seen itself.
 */
import { engineName } from '@qarr/router-core';
import type { BreakerTold } from '@qarr/router-core';
import { pipelineOf } from './redis-client.ts';
import type { RedisClient } from './redis-client.ts';
import { bounded } from './bounded.ts';
import type { Keys } from './keys.ts';
import { runScript } from './scripts.ts';
import { HEARTBEAT_MS } from './workers.ts';
import type { Workers } from './workers.ts';

/** Workers that must agree, where there are as many, and for how long a vote counts. */
const VOTES = 2;
const VOTE_MS = 30_000;
/** Some renewals may fail; a holder that dies is succeeded after so long. */
const LEASE_MS = 5_000;
/** A breaker forgets how often it was open before that. */
const KEPT_MS = 7_200_000;
/** Without an answer for so long a worker goes by what it has seen itself. */
const ANSWER_MS = 1_000;

/** `unknown`: Redis does not answer. */
type Lease = 'held' | 'taken' | 'unknown';

/** None of these rejects. */
export interface SharedBreakers {
  /** This worker's breaker for the engine has become this. */
  say(upstream: string, told: BreakerTold): Promise<void>;
  /** Takes or keeps the lease of the engine's probe, for 5 s. */
  hold(upstream: string): Promise<Lease>;
  /** Gives it back, if it is this worker's; nobody gets it for `restMs`. */
  leave(upstream: string, options: { restMs: number }): Promise<void>;
  stop(): Promise<void>;
}

/** As it lies in Redis. */
interface Stored {
  readonly kind: BreakerTold['kind'];
  readonly trips: number;
  /** Milliseconds since the epoch, by Redis's clock. */
  readonly until: number;
  /** When it became that, in microseconds. */
  readonly at: string;
}

export function createSharedBreakers({
  redis,
  keys,
  tier,
  workers,
  workerId,
  host,
  upstreams,
  onTold,
  onError,
}: {
  redis: RedisClient;
  keys: Keys;
  tier: string;
  workers: Pick<Workers, 'alive'>;
  workerId: string;
  /** Where this worker runs. */
  host: string;
  upstreams: readonly string[];
  /** Others have made an engine's breaker this. */
  onTold: (upstream: string, told: BreakerTold) => void;
  onError: (error: Error) => void;
}): SharedBreakers & {
  /** Somebody has changed one of the tier's breakers. */
  look(): void;
} {
  /** Of each engine, the latest change that this worker knows. */
  const seenAt = new Map<string, number>();
  let looking: Promise<void> | null = null;
  let isAskedAgain = false;
  let isStopped = false;

  const nameOf = (upstream: string) => engineName(upstream, { host });

  /** Null when Redis does not answer in time. */
  async function answer<T>(ask: () => Promise<T>): Promise<T | null> {
    // What is sent to a connection that is gone would be done when it is back.
    if (redis.status !== 'ready') return null;
    let reply: T | null = null;
    async function settle(): Promise<void> {
      try {
        reply = await ask();
      } catch (error) {
        onError(error as Error);
      }
    }
    await bounded(ANSWER_MS, settle());
    return reply;
  }

  /** How many workers must agree that this engine is broken. */
  async function votesFor(upstream: string): Promise<number> {
    const live = await workers.alive(tier);
    const others = live.filter(({ id }) => id !== workerId);
    const sharing = others.filter((other) =>
      (other.upstreams ?? [{ url: other.upstream }]).some(
        ({ url }) => engineName(url, other) === nameOf(upstream),
      ),
    );
    return Math.min(VOTES, sharing.length + 1);
  }

  async function write(
    upstream: string,
    { kind, trips, retryInMs }: BreakerTold,
  ): Promise<unknown> {
    const votes = kind === 'open' ? await votesFor(upstream) : 1;
    return runScript(redis, 'breaker-say', {
      keys: [keys.breakers(tier), keys.probeLease(tier, nameOf(upstream))],
      args: [
        nameOf(upstream),
        workerId,
        kind,
        trips,
        Math.round(retryInMs),
        votes,
        VOTE_MS,
        KEPT_MS,
        keys.controlChannel,
        `breaker ${tier}`,
      ],
    });
  }

  async function read(): Promise<void> {
    const replies = await pipelineOf(redis)
      .time()
      .hmget(keys.breakers(tier), ...upstreams.map(nameOf))
      .exec();
    const [time, stored] = (replies ?? []).map(([error, reply]) => {
      if (error !== null) throw error;
      return reply as (string | null)[];
    });
    const nowMs = Number(time?.[0]) * 1_000 + Number(time?.[1]) / 1_000;
    for (const [index, upstream] of upstreams.entries()) {
      const json = stored?.[index] ?? null;
      // Forgotten is not closed: there is nothing to follow.
      if (json === null || isStopped) continue;
      const { kind, trips, until, at } = JSON.parse(json) as Stored;
      if (Number(at) <= (seenAt.get(upstream) ?? 0)) continue;
      seenAt.set(upstream, Number(at));
      onTold(upstream, { kind, trips, retryInMs: Math.max(0, until - nowMs) });
    }
  }

  async function lookOn(): Promise<void> {
    do {
      isAskedAgain = false;
      await answer(read);
    } while (isAskedAgain);
    looking = null;
  }

  function look(): void {
    if (isStopped) return;
    isAskedAgain = true;
    looking ??= lookOn();
  }

  const timer = setInterval(look, HEARTBEAT_MS);
  look();

  return {
    look,

    async say(upstream, told) {
      const reply = await answer(() => write(upstream, told));
      if (reply === 'superseded') {
        seenAt.delete(upstream);
        return look();
      }
      if (typeof reply === 'string' && reply !== '') seenAt.set(upstream, Number(reply));
    },

    async hold(upstream) {
      const call = {
        keys: [keys.probeLease(tier, nameOf(upstream))],
        args: [workerId, 'hold', LEASE_MS],
      };
      const reply = await answer(() => runScript(redis, 'probe-lease', call));
      if (reply === null) return 'unknown';
      return reply === 1 ? 'held' : 'taken';
    },

    async leave(upstream, { restMs }) {
      const call = {
        keys: [keys.probeLease(tier, nameOf(upstream))],
        args: [workerId, 'leave', Math.ceil(restMs)],
      };
      await answer(() => runScript(redis, 'probe-lease', call));
    },

    async stop() {
      isStopped = true;
      clearInterval(timer);
      await looking;
    },
  };
}
