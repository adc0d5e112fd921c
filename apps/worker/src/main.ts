/** Starts a worker: `node apps/worker/src/main.ts --tier fast`. */
import {
  createErrorLog,
  createLogger,
  createStopper,
  logJobChange,
  requireSafeRedis,
  runProcess,
  startOpsServer,
  startTracing,
  within,
} from '@qarr/process';
import { createWorkerStore } from '@qarr/job-store';
import type { Running } from '@qarr/process';
import { readConfig } from './config.ts';
import { createWorkerMetrics } from './metrics.ts';
import type { WorkerMetrics } from './metrics.ts';
import { connectUpstreams } from './upstream/connect.ts';
import type { Upstreams } from './upstream/upstreams.ts';
import { startWorker } from './worker.ts';
import type { TierWorker } from './worker.ts';

/** A Redis that is gone must not keep a process that has nothing more to say. */
const STORE_STOP_MS = 5_000;

process.exit(await runProcess('qarr-worker', start));

async function start(): Promise<Running> {
  const config = readConfig();
  const jobLog = createLogger({ name: 'worker', level: config.logLevel });
  const log = jobLog.child({ tier: config.tier.name });
  const stopper = createStopper();
  const tracing = await startTracing(config.tracing, { service: 'qarr-worker', log });
  stopper.add(() => tracing.stop());
  let worker: TierWorker | null = null;
  let upstreams: Upstreams | null = null;
  let counted: WorkerMetrics | null = null;

  const store = await createWorkerStore({
    redisUrl: config.redisUrl,
    tier: config.tier.name,
    onCancel: (jobId) => worker?.cancel(jobId),
    onChange(change) {
      logJobChange(jobLog, change);
      counted?.changed(change);
    },
    onError: createErrorLog(log, 'Redis or the way to it fails'),
  });
  stopper.add(() => within(STORE_STOP_MS, store.stop()));
  requireSafeRedis(await store.check(), { allowVolatile: config.allowVolatileRedis, log });

  const metrics = createWorkerMetrics({
    tier: config.tier.name,
    host: config.host,
    slots() {
      return {
        running: worker?.running() ?? 0,
        free: upstreams?.capacity().free ?? 0,
        batch: worker?.batchSlots() ?? 0,
      };
    },
    upstreams: () => upstreams?.statuses() ?? [],
    pingRedis: () => store.ping(),
  });
  counted = metrics;
  const ops = await startOpsServer({
    host: config.opsHost,
    port: config.opsPort,
    registry: metrics.registry,
    // An engine is warm and may have jobs. Who deploys waits for that; nobody sends requests by it.
    isReady: () => (upstreams?.capacity().slots ?? 0) > 0,
  });
  stopper.add(() => ops.stop());

  const started = startWorker({
    config,
    store,
    connectUpstreams(onChange) {
      const { shareBreakers } = store;
      const { onBreaker } = metrics;
      upstreams = connectUpstreams({ config, shareBreakers, onChange, onBreaker, log });
      return upstreams;
    },
    metrics,
    tracing,
    log,
    jobLog,
  });
  worker = started;
  stopper.add(() => started.stop({ drainMs: config.drainMs }));
  log.info({ worker: config.workerId, ops_port: ops.port }, 'worker started');
  return { stop: stopper.stop, failed: started.failed };
}
