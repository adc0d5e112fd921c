/** All that Redis holds in the end. */
import type { Redis } from 'ioredis';

const SCAN_COUNT = 1_000;
const PAGE = 1_000;
/** What Redis answers for the time to live of a key that is not there. */
const NO_KEY = -2;

interface LogEntry {
  readonly id: string;
  readonly type: string;
  readonly json: string;
}

export interface DumpedJob {
  /** Null where there is a log without a record. */
  readonly record: Readonly<Record<string, string>> | null;
  readonly log: readonly LogEntry[] | null;
  /** Milliseconds; -1 for none. */
  readonly recordTtlMs: number;
  readonly logTtlMs: number;
}

export interface Dump {
  readonly jobs: ReadonlyMap<string, DumpedJob>;
  /** The members of each index, by its key. */
  readonly indexes: ReadonlyMap<string, readonly string[]>;
  /** Every key that is none of a job's own. */
  readonly otherKeys: readonly { readonly name: string; readonly ttlMs: number }[];
  /** How many entries each list or set of a queue has, by its key. */
  readonly queues: ReadonlyMap<string, number>;
}

/** Lists, sets and hashes of BullMQ and of the ledger in which an entry of a job may lie. */
const QUEUE_SIZES =
  /^\{qarr:[^}]+\}(?:_batch)?:(ledger|ledger-order|wait|paused|active|delayed|prioritized|waiting-children|completed|failed|stalled)$/;
/** Sets of jobs: of those that are open, and of those that have ended. */
const INDEX = /^qarr:(open|deadlines|started|kept|bound:.*|jobs:.*)$/;
const JOB_KEY = /^qarr:\{([^}]+)\}:(job|log)$/;

export async function dumpRedis(redis: Redis): Promise<Dump> {
  const names = await scanAll(redis);
  const jobs = new Map<string, DumpedJob>();
  const queues = new Map<string, number>();
  const indexes = new Map<string, string[]>();
  const otherKeys: { name: string; ttlMs: number }[] = [];
  for (const name of names.toSorted()) {
    const [, jobId] = JOB_KEY.exec(name) ?? [];
    if (jobId !== undefined) {
      if (!jobs.has(jobId)) jobs.set(jobId, await dumpJob(redis, jobId));
      continue;
    }
    if (INDEX.test(name)) indexes.set(name, await membersOf(redis, name));
    else if (QUEUE_SIZES.test(name)) queues.set(name, await sizeOf(redis, name));
    else {
      const ttlMs = await redis.pttl(name);
      // It has gone since it was found.
      if (ttlMs !== NO_KEY) otherKeys.push({ name, ttlMs });
    }
  }
  return {
    jobs,
    indexes,
    otherKeys,
    queues,
  };
}

async function scanAll(redis: Redis): Promise<string[]> {
  const names = new Set<string>();
  for (let cursor = '0'; ;) {
    const [next, page] = await redis.scan(cursor, 'COUNT', SCAN_COUNT);
    for (const name of page) names.add(name);
    if (next === '0') return [...names];
    cursor = next;
  }
}

async function dumpJob(redis: Redis, jobId: string): Promise<DumpedJob> {
  const [jobKey, logKey] = [`qarr:{${jobId}}:job`, `qarr:{${jobId}}:log`];
  const [record, log, recordTtlMs, logTtlMs] = await Promise.all([
    redis.hgetall(jobKey),
    readLog(redis, logKey),
    redis.pttl(jobKey),
    redis.pttl(logKey),
  ]);
  const isThere = Object.keys(record).length > 0;
  return { record: isThere ? record : null, log, recordTtlMs, logTtlMs };
}

async function readLog(redis: Redis, key: string): Promise<LogEntry[] | null> {
  const log: LogEntry[] = [];
  for (let after = '-'; ;) {
    const page = await redis.xrange(key, after, '+', 'COUNT', PAGE);
    for (const [id, [, type = '', , json = '']] of page) {
      log.push({ id, type, json });
      after = `(${id}`;
    }
    if (page.length < PAGE) return log.length === 0 ? null : log;
  }
}

async function membersOf(redis: Redis, name: string): Promise<string[]> {
  return (await redis.type(name)) === 'set' ? redis.smembers(name) : redis.zrange(name, '0', '-1');
}

async function sizeOf(redis: Redis, name: string): Promise<number> {
  switch (await redis.type(name)) {
    case 'list':
      return redis.llen(name);
    case 'zset':
      return redis.zcard(name);
    case 'set':
      return redis.scard(name);
    case 'hash':
      return redis.hlen(name);
    default:
      return 0;
  }
}
