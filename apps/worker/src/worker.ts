/**
 * A worker: one tier, one engine, a number of slots.
 *
 * It pulls only while its engine answers: when nobody listens at the engine's address it stops
 * pulling, asks until somebody does, and pulls again. What runs is not touched by that.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { HEARTBEAT_MS } from '@qarr/job-store';
import type { Consumer, WorkerStore } from '@qarr/job-store';
import type { Logger } from '@qarr/process';
import type { WorkerConfig } from './config.ts';
import type { Engine } from './engine.ts';
import type { EngineInfo } from './engine-info.ts';
import type { WorkerMetrics } from './metrics.ts';
import { processJob } from './process-job.ts';
import type { Stop } from './process-job.ts';

const PROBE_EVERY_MS = 1_000;
/** A queue with work, free slots and nothing delivered for so long: this process is of no use. */
const STUCK_AFTER_MS = 30_000;
/** What was handed back must be written before the process may end. */
const HAND_BACK_MS = 3_000;
/** Weight of the newest job in the moving average of the service time. */
const SERVICE_WEIGHT = 0.2;

export interface TierWorker {
  /** Rejects when the worker pulls nothing though it could. */
  readonly failed: Promise<never>;
  /** Asks a running job to stop; nothing happens when it does not run here. */
  cancel(jobId: string): void;
  running(): number;
  /** Stops pulling, lets what can finish within `drainMs` finish, hands the rest back. */
  stop(options: { drainMs: number }): Promise<void>;
}

export function startWorker({
  config,
  store,
  engine,
  describe,
  metrics,
  log,
}: {
  config: WorkerConfig;
  store: WorkerStore;
  engine: Engine;
  /** Asks the engine what it is; throws when it does not answer. */
  describe: () => Promise<EngineInfo>;
  metrics: WorkerMetrics;
  log: Logger;
}): TierWorker {
  const running = new Map<string, (stop: Stop) => void>();
  const stopping = new AbortController();
  const failed = Promise.withResolvers<never>();
  let info: EngineInfo | null = null;
  let isProbing = false;
  let serviceMs: number | null = null;

  const consumer: Consumer = store.consume({
    concurrency: config.concurrency,
    paused: true,
    async deliver(entry, delivery) {
      const beganMs = performance.now();
      const result = await processJob(entry, delivery, {
        worker: config.workerId,
        claim: store.claim,
        run: (job, options) =>
          engine.run(job.request, {
            model: config.tier.model ?? info?.model ?? config.tier.name,
            // A name per attempt: engines refuse or confuse a request id that is still in use.
            requestId: `${job.jobId}-${job.attempt}`,
            countsContinuously: info?.countsContinuously ?? false,
            ...options,
          }),
        running,
        onEngineGone: () => void reconnect().catch(onBackgroundError),
        random: Math.random,
        log,
        metrics,
      });
      const tookMs = performance.now() - beganMs;
      serviceMs = serviceMs === null ? tookMs : serviceMs + SERVICE_WEIGHT * (tookMs - serviceMs);
      return result;
    },
  });

  function onBackgroundError(error: Error): void {
    if (!stopping.signal.aborted) failed.reject(error);
  }

  /** Stops pulling until the engine answers. */
  async function reconnect(): Promise<void> {
    if (isProbing) return;
    isProbing = true;
    await consumer.pause();
    for (let tries = 0; !stopping.signal.aborted; tries += 1) {
      try {
        info = await describe();
        break;
      } catch {
        if (tries === 0) log.warn({ upstream: config.upstreamUrl }, 'engine does not answer');
        await sleep(PROBE_EVERY_MS, null, { signal: stopping.signal }).catch(() => {});
      }
    }
    isProbing = false;
    if (stopping.signal.aborted) return;
    log.info({ upstream: config.upstreamUrl, ...info }, 'engine answers, pulling');
    await consumer.resume();
  }

  async function beatUntilStopped(): Promise<void> {
    while (!stopping.signal.aborted) {
      await store.beat({
        id: config.workerId,
        host: config.host,
        pid: process.pid,
        slots: config.concurrency,
        running: running.size,
        breaker: isProbing ? 'open' : 'closed',
        upstream: config.upstreamUrl,
        model: config.tier.model ?? info?.model ?? config.tier.name,
        max_model_len: info?.maxModelLen ?? null,
        service_ms: serviceMs,
      });
      await checkStuck();
      await sleep(HEARTBEAT_MS, null, { signal: stopping.signal }).catch(() => {});
    }
  }

  async function checkStuck(): Promise<void> {
    const isIdle = running.size < config.concurrency && !isProbing;
    const quietMs = performance.now() - consumer.lastDeliveryMs;
    if (!isIdle || quietMs < STUCK_AFTER_MS || (await store.waiting()) === 0) return;
    failed.reject(new Error(`jobs wait and slots are free, but nothing came for ${STUCK_AFTER_MS} ms`));
  }

  reconnect().catch(onBackgroundError);
  beatUntilStopped().catch(onBackgroundError);

  async function untilIdle(ms: number): Promise<void> {
    const deadlineMs = performance.now() + ms;
    while (consumer.running > 0 && performance.now() < deadlineMs) await sleep(10);
  }

  return {
    failed: failed.promise,
    cancel: (jobId) => running.get(jobId)?.('cancel'),
    running: () => running.size,
    async stop({ drainMs }) {
      stopping.abort();
      await store.leave(config.workerId);
      await consumer.pause();
      log.info({ running: running.size, drain_ms: drainMs }, 'draining');
      await untilIdle(drainMs);
      for (const stop of running.values()) stop('hand-back');
      await untilIdle(HAND_BACK_MS);
      log.info({ left: consumer.running }, 'drained');
    },
  };
}
