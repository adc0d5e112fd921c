/** The Redis of a world: one server, a Cluster, or a primary that sentinels watch. All local processes. */
import { startRedisCluster } from '../harness/redis-cluster.ts';
import { startWatchedRedis } from '../harness/redis-sentinel.ts';
import { startRedisServer } from '../harness/redis-server.ts';

export const REDIS_KINDS = ['single', 'cluster', 'sentinel'] as const;
export type RedisKind = (typeof REDIS_KINDS)[number];

export interface ScaleRedis {
  /** For `REDIS_URL`. */
  readonly url: string;
  /** Replicas that must have a job before it is acknowledged. */
  readonly replicasMin: number;
  /** SIGKILL of a primary; resolves when there is another one. Null where nothing would replace it. */
  readonly failover: (() => Promise<void>) | null;
  stop(): Promise<void>;
}

export async function startScaleRedis(kind: RedisKind): Promise<ScaleRedis> {
  switch (kind) {
    case 'single':
      return { ...(await startRedisServer()), replicasMin: 0, failover: null };
    case 'cluster':
      return { ...(await startRedisCluster()), replicasMin: 0, failover: null };
    case 'sentinel':
      return { ...(await startWatchedRedis()), replicasMin: 1 };
    default:
      return kind satisfies never;
  }
}
