/** What every process tells of itself, and of Redis as it sees it. */
import { readFileSync } from 'node:fs';
import { Gauge, Registry, collectDefaultMetrics } from 'prom-client';
import type { GaugeConfiguration } from 'prom-client';
import { within } from './within.ts';

/** Beyond it Redis counts as gone: a page of metrics must not wait longer. */
const PING_MS_MAX = 1_000;

/** A registry for one process, with Node's own figures, and those that all processes have. */
export function createProcessRegistry({
  component,
  pingRedis,
  pingMsMax = PING_MS_MAX,
}: {
  component: 'api' | 'worker' | 'batch-runner';
  /** One round trip to Redis; may never settle while Redis is gone. */
  pingRedis: () => Promise<unknown>;
  pingMsMax?: number;
}): Registry {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });

  addGauge({
    name: 'qarr_build_info',
    help: '1; which program this is, its version, and that of its Node',
    labelNames: ['component', 'version', 'node'] as const,
    registers,
  }).set({ component, version: ownVersion(), node: process.versions.node }, 1);

  const look = createRedisLook(pingRedis, pingMsMax);
  addGauge({
    name: 'qarr_redis_up',
    help: '1 if Redis has answered a ping within a second when this page was made',
    registers,
    async collect() {
      this.set((await look()) === null ? 0 : 1);
    },
  });
  addGauge({
    name: 'qarr_redis_ping_seconds',
    help: 'What the last ping of Redis took that was answered in time',
    registers,
    async collect() {
      const tookMs = await look();
      // Longer: it was sent before Redis went, and tells of that, not of Redis.
      if (tookMs !== null && tookMs <= pingMsMax) this.set(tookMs / 1_000);
    },
    // Before the first there is nothing to tell; prom-client would say 0.
  }).remove();
  return registry;
}

/** A gauge that its own `collect` sets, so that nobody needs to hold it. */
export function addGauge<Label extends string>(options: GaugeConfiguration<Label>): Gauge<Label> {
  return new Gauge(options);
}

/** Null where there was no answer in time. One ping at a time, as those of a dead Redis pile up. */
function createRedisLook(
  pingRedis: () => Promise<unknown>,
  pingMsMax: number,
): () => Promise<number | null> {
  let underWay: Promise<number | null> | null = null;

  async function ping(): Promise<number | null> {
    const startedMs = performance.now();
    const isAnswered = await pingRedis().then(
      () => true,
      () => false,
    );
    underWay = null;
    return isAnswered ? performance.now() - startedMs : null;
  }

  return async () => {
    let tookMs: number | null = null;
    underWay ??= ping();
    await within(
      pingMsMax,
      underWay.then((ms) => (tookMs = ms)),
    );
    return tookMs;
  };
}

function ownVersion(): string {
  const manifest = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(manifest) as { version: string }).version;
}
