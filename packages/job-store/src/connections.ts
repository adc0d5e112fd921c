/**
 * How QARR talks to Redis. Three kinds of connection, because they must fail differently:
 *
 * - a *producer* serves somebody who waits, so it fails fast;
 * - a *worker* has nothing better to do than to wait until Redis is back;
 * - a *subscriber* only receives, and says when it may have missed something.
 */
import { Redis } from 'ioredis';

/** A dead socket is tried again this often; Redis that comes back is in use again at once. */
const RECONNECT_MS_MAX = 200;
/** A producer's command that takes longer has an unknown outcome: the caller is told so. */
const PRODUCER_TIMEOUT_MS = 1_000;
const CONNECT_TIMEOUT_MS = 2_000;
/**
 * A connection on which an answer is due and nothing comes for so long leads nowhere, whatever the
 * system says of it: it is replaced. A worker's longest command blocks for 5 s, and what an
 * interrupted command has done is not known, so a Redis that is only slow must not lose its workers.
 */
const PRODUCER_SILENCE_MS = 3_000;
const WORKER_SILENCE_MS = 7_500;
/** A subscriber waits for nothing: it asks for an answer so often, and misses it after so long. */
const PING_EVERY_MS = 1_500;
const SUBSCRIBER_SILENCE_MS = 2_500;
/** A process that starts does not wait longer than this for Redis. */
const START_TIMEOUT_MS = 3_000;
/** The same for a Redis that is there but may be reading its data. */
const LOADING_TIMEOUT_MS = 10_000;
const GOODBYE_MS = 500;
/** Pause before a subscription that Redis refused is tried again. */
const RETRY_MS = 1_000;

export interface ConnectionOptions {
  redisUrl: string;
  /** Called for each connection error, bounded by the rate of reconnecting. */
  onError: (error: Error) => void;
}

export function connectProducer({ redisUrl, onError }: ConnectionOptions): Redis {
  const redis = new Redis(redisUrl, {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    commandTimeout: PRODUCER_TIMEOUT_MS,
    socketTimeout: PRODUCER_SILENCE_MS,
    connectTimeout: CONNECT_TIMEOUT_MS,
    retryStrategy,
    reconnectOnError: isReadOnly,
  });
  redis.on('error', onError);
  return redis;
}

export function connectWorker({ redisUrl, onError }: ConnectionOptions): Redis {
  const redis = new Redis(redisUrl, {
    maxRetriesPerRequest: null,
    socketTimeout: WORKER_SILENCE_MS,
    connectTimeout: CONNECT_TIMEOUT_MS,
    retryStrategy,
    reconnectOnError: isReadOnly,
  });
  redis.on('error', onError);
  return redis;
}

export interface Subscription {
  stop(): Promise<void>;
}

/**
 * Subscribes to one channel, for ever.
 *
 * `onReady` is called each time the subscription stands, also the first: messages before it may
 * have been missed, messages after it are not, until it is called again.
 */
export async function subscribe({
  redisUrl,
  onError,
  channel,
  onMessage,
  onReady,
}: ConnectionOptions & {
  channel: string;
  onMessage: (message: string) => void;
  onReady: () => void;
}): Promise<Subscription> {
  const redis = new Redis(redisUrl, {
    autoResubscribe: false,
    maxRetriesPerRequest: null,
    socketTimeout: SUBSCRIBER_SILENCE_MS,
    connectTimeout: CONNECT_TIMEOUT_MS,
    retryStrategy,
  });
  redis.on('error', onError);
  redis.on('message', (_channel, message) => onMessage(message));

  const stands = Promise.withResolvers<boolean>();
  const tooLate = setTimeout(() => stands.resolve(false), START_TIMEOUT_MS);
  let retry: NodeJS.Timeout | undefined;
  async function subscribeAnew(): Promise<void> {
    try {
      await redis.subscribe(channel);
    } catch (error) {
      onError(error as Error);
      // Where the connection broke, its next `ready` subscribes. Where Redis refused, it may not
      // the next time.
      if (redis.status === 'ready') retry = setTimeout(() => void subscribeAnew(), RETRY_MS);
      return;
    }
    stands.resolve(true);
    onReady();
  }
  redis.on('ready', () => void subscribeAnew());
  const pinging = setInterval(() => {
    // What is wrong with the connection is an event of it.
    if (redis.status === 'ready') redis.ping().catch(() => {});
  }, PING_EVERY_MS);
  const isStanding = await stands.promise;
  clearTimeout(tooLate);
  if (!isStanding) {
    clearTimeout(retry);
    clearInterval(pinging);
    redis.disconnect();
    throw new Error(`Redis does not let this process subscribe to ${channel}; check its ACL`);
  }
  return {
    async stop() {
      clearTimeout(retry);
      clearInterval(pinging);
      redis.disconnect();
    },
  };
}

/** Waits until a new connection can be used; closes it and throws when Redis does not serve. */
export async function whenReady(redis: Redis): Promise<void> {
  if (redis.status === 'ready') return;
  const { promise, resolve } = Promise.withResolvers<void>();
  let problem = 'no answer';
  redis.on('error', (error) => (problem = error.message || problem));
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
  const { host, port } = redis.options;
  throw new Error(
    `Redis at ${host}:${port} does not serve (${problem}); start it or correct REDIS_URL`,
  );
}

/** Lets what was sent be answered, but does not wait for a Redis that is gone. */
export async function disconnect(redis: Redis): Promise<void> {
  if (redis.status === 'ready') {
    const timeout = AbortSignal.timeout(GOODBYE_MS);
    const expired = new Promise((resolve) => timeout.addEventListener('abort', resolve));
    await Promise.race([redis.quit().catch(() => {}), expired]);
  }
  redis.disconnect();
}

/** What was the primary has become a replica: the name leads to another one by now. */
function isReadOnly(error: Error): boolean {
  return error.message.startsWith('READONLY');
}

function retryStrategy(times: number): number {
  return Math.min(times * 20, RECONNECT_MS_MAX);
}
