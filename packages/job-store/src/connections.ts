/**
 * How QARR talks to Redis. Three kinds of connection, because they must fail differently:
 *
 * - a *producer* serves somebody who waits, so it fails fast;
 * - a *worker* has nothing better to do than to wait until Redis is back;
 * - a *subscriber* only receives, and says when it may have missed something.
 */
import { describeRedis, readRedisUrl } from '@qarr/router-core';
import type { RedisAddress } from '@qarr/router-core';
import { Cluster, Redis } from 'ioredis';
import type { ClusterOptions, RedisOptions } from 'ioredis';
import { isCluster } from './redis-client.ts';
import type { RedisClient } from './redis-client.ts';
import { writeTogether } from './write-together.ts';

/** A dead socket is tried again this often; Redis that comes back is in use again at once. */
const RECONNECT_MS_MAX = 200;
/** A producer's command that takes longer has an unknown outcome: the caller is told so. */
const PRODUCER_TIMEOUT_MS = 1_000;
export const CONNECT_TIMEOUT_MS = 2_000;
/**
 * A connection on which an answer is due and nothing comes for so long leads nowhere, whatever the
 * system says of it: it is replaced. A worker's longest command blocks for 5 s, and what an
 * interrupted command has done is not known, so a Redis that is only slow must not lose its workers.
 */
const PRODUCER_SILENCE_MS = 3_000;
const WORKER_SILENCE_MS = 7_500;
/** A process that starts does not wait longer than this for Redis. */
export const START_TIMEOUT_MS = 3_000;
/** The same for a Redis that is there but may be reading its data. */
const LOADING_TIMEOUT_MS = 10_000;
const GOODBYE_MS = 500;
/** A sentinel that takes longer is passed over. */
const SENTINEL_TIMEOUT_MS = 1_000;
/** Whoever connects anew breaks what is under way, and where replicas are just missing it helps nobody. */
const ASK_AGAIN_MS = 2_000;
/** Between two looks at which node has which slots. A command that meets the wrong node looks at once. */
const SLOTS_EVERY_MS = 5_000;
/** Before a command is sent again whose node was lost, or does not have the slot (yet). */
const REDIRECT_MS = 50;
/** A slot that moves needs two; the others are for a node that is just being replaced. */
const PRODUCER_REDIRECTIONS_MAX = 8;

/** The type of a reply is what ioredis makes it. */
type Options = Omit<RedisOptions, 'replyMapping'>;

export interface ConnectionOptions {
  redisUrl: string;
  /** Called for each connection error, bounded by the rate of reconnecting. */
  onError: (error: Error) => void;
}

export function connectProducer(options: ConnectionOptions): RedisClient {
  return connect(options, {
    redis: {
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      commandTimeout: PRODUCER_TIMEOUT_MS,
      socketTimeout: PRODUCER_SILENCE_MS,
    },
    cluster: { enableOfflineQueue: false, maxRedirections: PRODUCER_REDIRECTIONS_MAX },
  });
}

export function connectWorker(options: ConnectionOptions): RedisClient {
  return connect(options, {
    redis: { maxRetriesPerRequest: null, socketTimeout: WORKER_SILENCE_MS },
    cluster: { maxRedirections: Number.MAX_SAFE_INTEGER },
  });
}

function connect(
  { redisUrl, onError }: ConnectionOptions,
  policy: { redis: Options; cluster: ClusterOptions },
): RedisClient {
  const address = addressOf(redisUrl);
  const options = { connectTimeout: CONNECT_TIMEOUT_MS, ...policy.redis };
  if (address.kind !== 'cluster') {
    const redis = new Redis({
      ...serverOptions(address),
      ...options,
      retryStrategy,
      reconnectOnError(error) {
        // Refused for want of replicas: another primary may have them.
        if (error.message.startsWith('NOREPLICAS')) askForPrimary(redis);
        return isReadOnly(error);
      },
    });
    redis.on('error', onError);
    writeTogether(redis);
    return redis;
  }
  // Without its offline queue a node is one that is connected.
  const { enableOfflineQueue: _, ...nodeOptions } = options;
  const cluster = new Cluster([...address.nodes], {
    // What is not covered by a node is said by `redis-check`, or waits like what its node does not take.
    enableReadyCheck: false,
    clusterRetryStrategy: retryStrategy,
    retryDelayOnFailover: REDIRECT_MS,
    retryDelayOnClusterDown: REDIRECT_MS,
    retryDelayOnTryAgain: REDIRECT_MS,
    slotsRefreshInterval: SLOTS_EVERY_MS,
    // A certificate is for a name: it must not be replaced by an address.
    ...(address.tls ? { dnsLookup: (name, found) => found(null, name) } : {}),
    ...policy.cluster,
    redisOptions: { ...accessOptions(address), ...nodeOptions, reconnectOnError: isReadOnly },
  });
  cluster.on('error', onError);
  cluster.on('node error', onError);
  // Otherwise the first commands of a producer would find a node that is about to be connected.
  cluster.on('+node', (node: Redis) => {
    writeTogether(node);
    node.connect().catch(() => {});
  });
  return cluster;
}

export function addressOf(redisUrl: string): RedisAddress {
  const address = readRedisUrl(redisUrl);
  if (address.kind === 'invalid') throw new Error(`The URL of Redis ${address.problem}`);
  return address;
}

export function serverOptions(address: Exclude<RedisAddress, { kind: 'cluster' }>): Options {
  const access = accessOptions(address);
  if (address.kind === 'server') return { ...address.node, db: address.database, ...access };
  return {
    sentinels: [...address.sentinels],
    name: address.name,
    sentinelUsername: address.sentinelUsername,
    sentinelPassword: address.sentinelPassword,
    sentinelCommandTimeout: SENTINEL_TIMEOUT_MS,
    sentinelRetryStrategy: retryStrategy,
    // Not ioredis's detector: heard of while a connection is being made anew, a failover ends that connection
    // for good. A former primary refuses writes, closes its connections, or is silent: each is noticed.
    failoverDetector: false,
    enableTLSForSentinelMode: address.tls,
    ...(address.tls ? { sentinelTLS: {} } : {}),
    ...access,
  };
}

export function accessOptions({ username, password, tls }: RedisAddress): Options {
  return {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls ? { tls: {} } : {}),
  };
}

/** Waits until a new connection can be used; closes it and throws when Redis does not serve. */
export async function whenReady(redis: RedisClient, redisUrl: string): Promise<void> {
  if (redis.status === 'ready') return;
  const { promise, resolve } = Promise.withResolvers<void>();
  let problem = 'no answer';
  // A cluster's own says only that none of its nodes will do; theirs say why.
  const note = (error: Error) => (problem = error.message || problem);
  redis.on(isCluster(redis) ? 'node error' : 'error', note);
  redis.once('ready', resolve);
  const deadlineMs = performance.now() + START_TIMEOUT_MS;
  const loadedByMs = performance.now() + LOADING_TIMEOUT_MS;
  const check = setInterval(() => {
    // Connected, but not ready: it may be reading its data.
    const isLoading = redis.status === 'connect';
    if (performance.now() > (isLoading ? loadedByMs : deadlineMs)) resolve();
  }, 50);
  await promise;
  clearInterval(check);
  // The status has changed while it was waited for.
  if ((redis.status as string) === 'ready') return;
  redis.disconnect();
  throw new Error(
    `Redis at ${describeRedis(redisUrl)} does not serve (${problem}); start it or correct REDIS_URL`,
  );
}

/** Lets what was sent be answered, but does not wait for a Redis that is gone. */
export async function disconnect(redis: RedisClient): Promise<void> {
  if (redis.status === 'ready') {
    const timeout = AbortSignal.timeout(GOODBYE_MS);
    const expired = new Promise((resolve) => timeout.addEventListener('abort', resolve));
    await Promise.race([redis.quit().catch(() => {}), expired]);
  }
  redis.disconnect();
}

const askedAtMs = new WeakMap<RedisClient, number>();

/**
 * Connects anew, now and then, to the primary that sentinels name: the one at hand may be a former one,
 * which takes writes until it is told.
 */
export function askForPrimary(redis: RedisClient): void {
  if (isCluster(redis) || !redis.options.sentinels) return;
  const nowMs = performance.now();
  if (nowMs - (askedAtMs.get(redis) ?? Number.NEGATIVE_INFINITY) < ASK_AGAIN_MS) return;
  askedAtMs.set(redis, nowMs);
  // The others of this moment may still be answered.
  setImmediate(() => redis.disconnect(true));
}

/** What was the primary has become a replica: the name leads to another one by now. */
function isReadOnly(error: Error): boolean {
  return error.message.startsWith('READONLY');
}

export function retryStrategy(times: number): number {
  return Math.min(times * 20, RECONNECT_MS_MAX);
}
