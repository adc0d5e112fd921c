/** A Redis Cluster of local processes, each on its own data. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { freePort, startRedisServer } from './redis-server.ts';
import type { RedisProcess } from './redis-server.ts';
import { waitUntil } from './wait-until.ts';

const SLOTS = 16_384;

interface ClusterNode {
  readonly port: number;
  readonly pid: number;
  /** Past every cluster client. It waits while the node is away. */
  readonly redis: Redis;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** On the same data and port. Nothing where it runs. */
  start(): Promise<void>;
  freeze(): void;
  thaw(): void;
}

export interface RedisCluster {
  /** For `REDIS_URL`. */
  readonly url: string;
  /** Those that began as masters; each has as many of the slots. */
  readonly masters: readonly ClusterNode[];
  /** `replicas` for each of them, in their order. */
  readonly replicas: readonly ClusterNode[];
  /** The node that began with the slot of this key. */
  masterOf(key: string): Promise<ClusterNode>;
  /** Hands the slot of this key to another master, with all keys in it, as an operator does. */
  moveSlotOf(key: string, to: ClusterNode): Promise<void>;
  stop(): Promise<void>;
}

/**
 * `replicas`: of each master. With one, the cluster replaces a master that dies after `nodeTimeoutMs`.
 * With one master, it is a server on which all is done as on a cluster.
 */
export async function startRedisCluster({
  masterCount = 3,
  replicas = 0,
  nodeTimeoutMs = 1_000,
}: {
  masterCount?: number;
  replicas?: number;
  nodeTimeoutMs?: number;
} = {}): Promise<RedisCluster> {
  const folder = await mkdtemp(join(tmpdir(), 'qarr-cluster-'));
  const count = masterCount * (1 + replicas);
  const firstSlotOf = (master: number) => Math.ceil((master * SLOTS) / masterCount);
  const starting = await Promise.allSettled(
    Array.from({ length: count }, async () => startNode({ folder, nodeTimeoutMs })),
  );
  const nodes = starting.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const masters = nodes.slice(0, masterCount);

  async function connect(): Promise<void> {
    const [first, ...others] = nodes;
    const ids = await Promise.all(nodes.map(({ redis }) => redis.cluster('MYID')));
    await Promise.all(
      masters.map(async ({ redis }, at) => {
        await redis.cluster('ADDSLOTSRANGE', firstSlotOf(at), firstSlotOf(at + 1) - 1);
        // Each its own, so that they need not agree on an order first.
        await redis.call('CLUSTER', 'SET-CONFIG-EPOCH', at + 1);
      }),
    );
    for (const { port, busPort } of others) {
      await first?.redis.call('CLUSTER', 'MEET', '127.0.0.1', port, busPort);
    }
    await waitUntil('all nodes know each other', async () => {
      const known = await Promise.all(nodes.map(async ({ redis }) => redis.cluster('SLOTS')));
      const met = await Promise.all(nodes.map(async ({ redis }) => redis.call('CLUSTER', 'NODES')));
      return (
        known.every((slots) => (slots as unknown[]).length === masterCount) &&
        met.every((text) => ids.every((id) => String(text).includes(id)))
      );
    });
    for (const [at, { redis }] of nodes.slice(masterCount).entries()) {
      await redis.cluster('REPLICATE', ids[at % masterCount] ?? '');
    }
    await waitUntil('the cluster serves', async () => {
      const states = await Promise.all(nodes.map(async ({ redis }) => redis.cluster('INFO')));
      const links = await Promise.all(
        nodes.slice(masterCount).map(async ({ redis }) => redis.info('replication')),
      );
      return (
        states.every((info) => info.includes('cluster_state:ok')) &&
        links.every((info) => info.includes('master_link_status:up'))
      );
    });
  }

  async function stop(): Promise<void> {
    for (const { redis } of nodes) redis.disconnect();
    await Promise.all(nodes.map(async (node) => node.kill()));
    await rm(folder, { recursive: true, force: true });
  }

  async function slotOf(key: string): Promise<number> {
    return Number(await nodes[0]?.redis.cluster('KEYSLOT', key));
  }

  async function masterOf(key: string): Promise<ClusterNode> {
    const slot = await slotOf(key);
    const node = masters.find((_, at) => slot < firstSlotOf(at + 1));
    if (node === undefined) throw new Error(`No master has slot ${slot}`);
    return node;
  }

  try {
    for (const one of starting) if (one.status === 'rejected') throw one.reason;
    await connect();
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    url: `redis+cluster://${masters.map(({ port }) => `127.0.0.1:${port}`).join(',')}`,
    masters,
    replicas: nodes.slice(masterCount),
    masterOf,
    async moveSlotOf(key, to) {
      const [slot, from] = [await slotOf(key), await masterOf(key)];
      const [fromId, toId] = [await from.redis.cluster('MYID'), await to.redis.cluster('MYID')];
      await to.redis.cluster('SETSLOT', slot, 'IMPORTING', fromId);
      await from.redis.cluster('SETSLOT', slot, 'MIGRATING', toId);
      for (;;) {
        const names = await from.redis.cluster('GETKEYSINSLOT', slot, 100);
        if (names.length === 0) break;
        const options = ['', 0, 5_000, 'KEYS', ...names];
        await from.redis.call('MIGRATE', '127.0.0.1', to.port, ...options);
      }
      for (const { redis } of [to, from, ...masters]) {
        await redis.cluster('SETSLOT', slot, 'NODE', toId);
      }
    },
    stop,
  };
}

async function startNode({ folder, nodeTimeoutMs }: { folder: string; nodeTimeoutMs: number }) {
  const dir = await mkdtemp(join(folder, 'node-'));
  const [port, busPort] = [await freePort(), await freePort()];
  const settings = {
    'cluster-enabled': 'yes',
    'cluster-port': busPort,
    // One that has met no other does not know it.
    'cluster-announce-ip': '127.0.0.1',
    'cluster-node-timeout': nodeTimeoutMs,
    'cluster-require-full-coverage': 'yes',
    'cluster-replica-validity-factor': 0,
    'repl-diskless-sync-delay': 0,
  };
  const startServer = async () => startRedisServer({ dir, port, settings });
  let server: RedisProcess | null = await startServer();
  let { pid } = server;
  const redis = new Redis(port, { maxRetriesPerRequest: null, retryStrategy: () => 50 });
  // It comes again by itself.
  redis.on('error', () => {});
  return {
    port,
    busPort,
    redis,
    get pid() {
      return pid;
    },
    async kill() {
      await server?.stop();
      server = null;
    },
    async start() {
      server ??= await startServer();
      ({ pid } = server);
    },
    freeze: () => void process.kill(pid, 'SIGSTOP'),
    thaw: () => void process.kill(pid, 'SIGCONT'),
  };
}
