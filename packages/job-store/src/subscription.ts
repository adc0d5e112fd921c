/** Subscribing to one channel, for ever, on whatever server has it at the moment. */
import { nodeText } from '@qarr/router-core';
import type { RedisNode } from '@qarr/router-core';
import { Redis } from 'ioredis';
import {
  CONNECT_TIMEOUT_MS,
  START_TIMEOUT_MS,
  accessOptions,
  addressOf,
  retryStrategy,
  serverOptions,
} from './connections.ts';
import type { ConnectionOptions } from './connections.ts';

/** A subscriber waits for nothing: it asks for an answer so often, and misses it after so long. */
const PING_EVERY_MS = 1_500;
const SUBSCRIBER_SILENCE_MS = 2_500;
/** Pause before a subscription that Redis refused is tried again. */
const RETRY_MS = 1_000;

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
  onMessage: (message: Buffer) => void;
  onReady: () => void;
}): Promise<Subscription> {
  const redis = connectSubscriber(redisUrl);
  redis.on('error', onError);
  redis.on('messageBuffer', (_channel, message) => onMessage(message));

  const stands = Promise.withResolvers<boolean>();
  const tooLate = setTimeout(() => stands.resolve(false), START_TIMEOUT_MS);
  let retry: NodeJS.Timeout | undefined;
  let isRefused = false;
  async function subscribeAnew(): Promise<void> {
    try {
      await redis.subscribe(channel);
    } catch (error) {
      onError(error as Error);
      isRefused = (error as Error).message.startsWith('NOPERM');
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
    throw new Error(
      isRefused
        ? `Redis does not let this process subscribe to ${channel}; check its ACL`
        : `Redis does not answer to a subscription to ${channel}`,
    );
  }
  return {
    async stop() {
      clearTimeout(retry);
      clearInterval(pinging);
      redis.disconnect();
    },
  };
}

/**
 * In a cluster a message goes from each node to all, so one connection to any of them is enough. Where
 * that node is lost, the next try is for another one.
 */
function connectSubscriber(redisUrl: string): Redis {
  const address = addressOf(redisUrl);
  const options = {
    autoResubscribe: false,
    maxRetriesPerRequest: null,
    socketTimeout: SUBSCRIBER_SILENCE_MS,
    connectTimeout: CONNECT_TIMEOUT_MS,
  };
  if (address.kind !== 'cluster') {
    return new Redis({ ...serverOptions(address), ...options, retryStrategy });
  }
  let nodes: readonly RedisNode[] = address.nodes;
  let turn = Math.floor(Math.random() * nodes.length);
  const nextNode = () => nodes[(turn += 1) % nodes.length];
  const redis = new Redis({
    ...nextNode(),
    ...accessOptions(address),
    ...options,
    retryStrategy(times: number) {
      Object.assign(redis.options, nextNode());
      return retryStrategy(times);
    },
  });
  redis.on('ready', () => {
    redis.cluster('SLOTS').then(
      (slots) => (nodes = nodesToTry(address.nodes, slots)),
      // The nodes that are known may do.
      () => {},
    );
  });
  return redis;
}

export type ClusterSlots = [
  from: number,
  to: number,
  ...nodes: [host: string | null, port: number, ...unknown[]][],
][];

/**
 * Those that the nodes know, where they know their own addresses, and those that were given: they are names
 * that may lead to other addresses when all nodes have new ones.
 */
export function nodesToTry(given: readonly RedisNode[], slots: ClusterSlots): RedisNode[] {
  const nodes = new Map(given.map((node) => [nodeText(node), node]));
  for (const [, , ...served] of slots) {
    for (const [host, port] of served) {
      if (host) nodes.set(nodeText({ host, port }), { host, port });
    }
  }
  return [...nodes.values()];
}
