/**
 * Strict mode: what is acknowledged is on so many replicas, so that it outlives the primary's failover.
 *
 * `WAIT` counts the replicas that have all that its own connection has written before. So this has a
 * connection of its own, on which nothing else waits behind it, and writes a mark first: the stream of
 * a primary to its replicas has one order, so whoever has the mark has all that came before it. One
 * mark and one `WAIT` serve all who wait in that moment; in a cluster, one of each per master.
 *
 * That alone would not do: where the primary that took the writes has been replaced, the mark of the
 * next one says nothing of them. So the names of the replication histories are compared, as they were
 * before the writes and as they are with the mark; and those that the writing connection sees, as it may
 * still lead to the former primary when this one is at the next.
 */
import { QarrError } from '@qarr/router-core';
import type { Redis } from 'ioredis';
import { askForPrimary, connectProducer, disconnect, whenReady } from './connections.ts';
import type { ConnectionOptions } from './connections.ts';
import type { Keys } from './keys.ts';
import { parseInfo } from './redis-check.ts';
import { isCluster, primariesOf } from './redis-client.ts';
import type { RedisClient } from './redis-client.ts';

/** Replicas that follow are some milliseconds behind. */
const WAIT_MS = 500;
const REPLICATION = 'replication';
/** A mark is overwritten by the next one; without one it is not left behind. */
const MARK_TTL_MS = 60_000;
/** Names to try for one in a slot of a given master. With 100 masters, that none fits is one in e^40. */
const MARKS_MAX = 4_000;
/** For finding them. */
const MARKS_MS_MAX = 1_000;

export interface Replication {
  /**
   * To be called before the writes. What it returns is to be called after them, and throws
   * `not_replicated` where it is not certain that enough replicas have them.
   */
  begin(): () => Promise<void>;
  stop(): Promise<void>;
}

const NONE: Replication = { begin: () => async () => {}, async stop() {} };

interface Reading {
  /** The replication histories of all primaries; null where the writer sees others. */
  readonly histories: string | null;
  /** As many replicas as each of them has at least. */
  readonly replicas: number;
}

export async function createReplication({
  replicasMin,
  writer,
  keys,
  ...connection
}: ConnectionOptions & {
  /** By which is written what shall be confirmed. */
  writer: RedisClient;
  /** 0: nothing is waited for. */
  replicasMin: number;
  keys: Keys;
}): Promise<Replication> {
  if (replicasMin === 0) return NONE;
  // A mark and its `WAIT` are of one connection, or fail together.
  const redis = connectProducer(connection);
  await whenReady(redis, connection.redisUrl);
  /** Of each primary, which mark is in one of its slots. */
  const markOf = new WeakMap<Redis, number>();
  let latest: string | null = null;
  let underWay: Promise<unknown> = Promise.resolve();
  let next: Promise<Reading> | null = null;

  async function read(): Promise<Reading> {
    const primaries = primariesOf(redis);
    if (primaries.length === 0) throw new Error('No master is known');
    const [written, ...readings] = await Promise.all([
      Promise.all(primariesOf(writer).map(async (node) => historyIn(await node.info(REPLICATION)))),
      ...primaries.map(readOne),
    ]);
    const histories = readings.map(({ history }) => history).toSorted();
    const isSame = histories.join(' ') === written.toSorted().join(' ');
    latest = isSame ? histories.join(' ') : null;
    const replicas = Math.min(...readings.map((one) => one.replicas));
    if (!isSame || replicas < replicasMin) for (const one of [redis, writer]) askForPrimary(one);
    return { histories: latest, replicas };
  }

  async function readOne(node: Redis): Promise<{ history: string; replicas: number }> {
    const mark = markOf.get(node) ?? (await findMark(node));
    const replies = await node
      .pipeline()
      .set(keys.replicationMark(mark), '', 'PX', MARK_TTL_MS)
      .wait(replicasMin, WAIT_MS)
      .info(REPLICATION)
      .exec();
    const [marked, waited, info] = replies ?? [];
    if (isMoved(marked?.[0])) markOf.delete(node);
    for (const [problem] of replies ?? []) if (problem !== null) throw problem;
    return { history: historyIn(String(info?.[1])), replicas: Number(waited?.[1]) };
  }

  async function findMark(node: Redis): Promise<number> {
    const deadlineMs = performance.now() + MARKS_MS_MAX;
    // One that has become a replica has no slot; who is the master now is looked up, for the next time.
    if (!(await node.info(REPLICATION)).includes('role:master')) {
      if (isCluster(redis)) redis.refreshSlotsCache();
      throw new Error('A master has become a replica');
    }
    for (let mark = 0; mark < MARKS_MAX; mark += 1) {
      if (performance.now() > deadlineMs) break;
      try {
        await node.set(keys.replicationMark(mark), '', 'PX', MARK_TTL_MS);
        markOf.set(node, mark);
        return mark;
      } catch (error) {
        if (!isMoved(error)) throw error;
      }
    }
    throw new Error('No mark is in a slot of this master');
  }

  /** A reading that begins after this call; one serves all who wait for it. */
  function refresh(): Promise<Reading> {
    next ??= underWay.then(() => {
      next = null;
      const reading = read();
      underWay = reading.catch(() => {});
      return reading;
    });
    return next;
  }

  // Without it the first submission would not know whose writes it waits for.
  await refresh().catch(connection.onError);

  return {
    begin() {
      const before = latest;
      return async () => {
        let reading: Reading;
        try {
          reading = await refresh();
        } catch (error) {
          throw new QarrError('not_replicated', { cause: error });
        }
        const { histories, replicas } = reading;
        const isCertain = histories !== null && histories === before && replicas >= replicasMin;
        if (!isCertain) throw new QarrError('not_replicated');
      };
    },
    stop: () => disconnect(redis),
  };
}

function historyIn(info: string): string {
  const history = parseInfo(info).get('master_replid');
  if (history === undefined) throw new Error('Redis does not say which replication history it has');
  return history;
}

function isMoved(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('MOVED');
}
