/** The worker as the real process it is, of a tier of its own. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { waitUntil } from '../../harness/wait-until.ts';
import { startProcess } from './child-process.ts';

const MAIN = new URL('../../../apps/worker/src/main.ts', import.meta.url);

/**
 * How soon what hangs is given up. `busy`: it has other things to do meanwhile, as this machine may
 * have, so it waits longer than for a job that is `alone`; `production`: as it comes. A drip of an
 * event per second is below the rate, and faster than the idle timeout.
 */
const PATIENCE = {
  busy: patience({ firstMs: 5_000, idleMs: 4_000 }),
  alone: patience({ firstMs: 3_000, idleMs: 2_000 }),
  production: {},
} as const;
/** An engine that was gone for long is asked again every few seconds. */
const READY_TIMEOUT_MS = 60_000;
export type Patience = keyof typeof PATIENCE;

function patience({ firstMs, idleMs }: { firstMs: number; idleMs: number }) {
  return {
    QARR_HEADERS_TIMEOUT_MS: String(firstMs),
    QARR_FIRST_TOKEN_TIMEOUT_MS: String(firstMs),
    QARR_IDLE_TIMEOUT_MS: String(idleMs),
    QARR_RATE_WINDOW_MS: '5000',
    QARR_RATE_TOKENS_MIN: '10',
  };
}

export interface Worker {
  /** Waits until it would give jobs to all of its engines. */
  untilReady(): Promise<void>;
  stop(): Promise<void>;
}

export async function startWorker({
  redisUrl,
  tier,
  model,
  engineUrls,
  apiKey,
  jobsPerEngine,
  patience: patienceName,
}: {
  redisUrl: string;
  tier: string;
  /** Undefined: what the engines say that they serve. */
  model?: string | undefined;
  engineUrls: readonly string[];
  apiKey?: string | undefined;
  jobsPerEngine: number;
  patience: Patience;
}): Promise<Worker> {
  const folder = await mkdtemp(join(tmpdir(), 'qarr-conformance-'));
  const config = join(folder, 'qarr.config.yaml');
  // Every JSON is YAML.
  const tiers = [{ name: tier, ...(model === undefined ? {} : { model }) }];
  await writeFile(
    config,
    JSON.stringify({ tiers, routing: { rules: [{ tier, when: 'default' }] } }),
  );
  const process = await startProcess({
    name: 'The worker',
    script: MAIN,
    args: ['--tier', tier],
    env: {
      REDIS_URL: redisUrl,
      QARR_CONFIG: config,
      QARR_UPSTREAM_URL: engineUrls.join(),
      QARR_CONCURRENCY: String(jobsPerEngine),
      // One is enough to learn what an engine can do.
      QARR_WARMUP_REQUESTS: '1',
      QARR_CANARY_TIMEOUT_MS: '1000',
      // Row after row fails its engine: that its breaker would open is no row's affair.
      QARR_BREAKER_FAILURES: '0',
      // Nor that each of its answers fails at first.
      QARR_RETRY_PERCENT: '10000',
      QARR_DRAIN_MS: '200',
      OPS_PORT: '0',
      ...PATIENCE[patienceName],
      ...(apiKey === undefined ? {} : { QARR_UPSTREAM_API_KEY: apiKey }),
    },
    readStart: (line) => {
      const { msg, ops_port: port } = JSON.parse(line) as { msg?: string; ops_port?: number };
      return msg === 'worker started' ? `http://127.0.0.1:${port}/metrics` : null;
    },
  });

  async function usesAll(): Promise<boolean> {
    if (process.hasEnded) throw new Error('The worker has ended.');
    const page = await (await fetch(process.started)).text();
    const ready = page.match(/^qarr_upstream_state\{.*state="ready".*\} 1$/gm);
    return ready?.length === engineUrls.length;
  }

  return {
    async untilReady() {
      await waitUntil('the worker uses all engines', usesAll, {
        timeoutMs: READY_TIMEOUT_MS,
        everyMs: 100,
      });
    },
    async stop() {
      await process.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
