/** What an API replica is made of, and in which order it starts and stops. */
import { hostname } from 'node:os';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { createProducerStore } from '@qarr/job-store';
import {
  createErrorLog,
  createLogger,
  createStopper,
  logJobChange,
  portProblem,
  requireSafeRedis,
  startOpsServer,
  startTracing,
} from '@qarr/process';
import type { Running } from '@qarr/process';
import { buildApp } from './app.ts';
import { readConfig } from './config.ts';
import { createDrain } from './drain.ts';
import { checkFileStore, createFileStore } from './files/file-config.ts';
import { createAuthenticate } from './keys/authenticate.ts';
import { createReadTokens } from './keys/read-token.ts';
import { createApiMetrics } from './metrics.ts';
import type { ApiMetrics } from './metrics.ts';
import { createOwedCancels } from './owed-cancels.ts';
import { createPositions } from './positions.ts';
import { createEventStreams } from './sse.ts';
import { createSteward } from './steward.ts';
import { watchTiers } from './tier-watch.ts';
import type { TierWatch } from './tier-watch.ts';
import { createTokenizer } from './tokenizer.ts';
import { startWebhooks } from './webhooks/start-webhooks.ts';
import { webhookWarnings } from './webhooks/webhook-config.ts';

/** Between two rounds of what every replica does; doing it twice does no harm. */
const ROUND_MS = 1_000;

export async function startApi(): Promise<Running> {
  const config = readConfig();
  const log = createLogger({ name: 'api', level: config.logLevel });
  const stopper = createStopper();
  const drain = createDrain();
  const tracing = await startTracing(config.tracing, { service: 'qarr-api', log });
  stopper.add(() => tracing.stop());

  let counted: ApiMetrics | null = null;

  const store = await createProducerStore({
    redisUrl: config.redisUrl,
    tiers: config.deployment.tiers.map((tier) => tier.name),
    replicaId: randomUUID(),
    retention: config.retention,
    memoryPercentMax: config.memoryPercentMax,
    replicasMin: config.redisReplicasMin,
    followTickMs: config.limits.heartbeatMs,
    idempotencyTtlMs: config.idempotencyTtlMs,
    replicaLostMs: config.replicaLostMs,
    alertPerWorker: config.depthAlertPerWorker,
    onChange(change) {
      logJobChange(log, change);
      counted?.changed(change);
    },
    onError: createErrorLog(log, 'Redis or the way to it fails'),
  });
  stopper.add(() => store.stop());
  const files = createFileStore(config.files);
  stopper.add(() => files.stop());
  const warnings = [
    ...requireSafeRedis(await store.check(), { allowVolatile: config.allowVolatileRedis, log }),
    ...webhookWarnings(config.webhooks, log),
    ...(await checkFileStore(files, { place: config.files.place, records: store.files, log })),
  ];

  const watch: TierWatch = watchTiers({ store, policy: config.deployment.policy });
  stopper.add(() => watch.stop());
  const metrics = createApiMetrics({
    snapshots: () => watch.snapshots(),
    statuses: () => watch.statuses(),
    ageMs: () => watch.ageMs(),
    memory: () => store.memory(),
    webhookBacklog: () => store.webhookBacklog(),
    backlog: () => store.backlog(),
    pingRedis: () => store.ping(),
  });
  counted = metrics;
  const ops = await startOpsServer({
    host: config.opsHost,
    port: config.opsPort,
    registry: metrics.registry,
  });
  stopper.add(() => ops.stop());
  stopper.add(repeatUntilStopped(() => metrics.sweep(store.sweep())));
  const steward = createSteward({
    store,
    watch,
    metrics,
    options: config.admission,
    tracing,
    log,
  });
  stopper.add(repeatUntilStopped(() => steward.round()));
  const webhooks = await startWebhooks({
    config: config.webhooks,
    redisUrl: config.redisUrl,
    count: metrics.webhook,
    log,
  });

  const cancels = createOwedCancels({
    cancel: store.cancel,
    owedMax: config.owedCancelsMax,
    onForgotten: (job) =>
      log.warn({ job_id: job }, 'too many jobs are to be cancelled: this one goes on'),
  });
  stopper.add(() => cancels.stop());

  const streams = createEventStreams({ limits: config.limits, metrics, drain });
  const positions = createPositions({ store, watch });
  stopper.add(() => positions.stop());

  const { secrets, readTokenMs } = config.keys;
  const keys =
    secrets.length === 0
      ? null
      : {
          authenticate: createAuthenticate({ store, secrets }),
          tokens: createReadTokens({ secrets, forMs: readTokenMs }),
        };
  const app = await buildApp({
    config,
    store,
    files,
    keys,
    watch,
    tokenizer: createTokenizer({ host: hostname() }),
    drain,
    streams,
    positions,
    cancels,
    warnings,
    limits: config.limits,
    metrics,
    tracing,
    log,
  });
  try {
    await app.listen({ host: config.host, port: config.port });
  } catch (error) {
    throw portProblem(error, { variable: 'PORT', host: config.host, port: config.port });
  }
  stopper.add(() => app.close());
  // The server waits for every connection, also for those of readers that are stuck.
  stopper.add(() => streams.stop());
  stopper.add(async () => {
    const { drainMs } = config;
    await Promise.all([drain.stop({ drainMs }), webhooks?.stop({ graceMs: drainMs })]);
  });
  log.info({ address: app.server.address(), ops_port: ops.port }, 'api started');
  return { stop: stopper.stop };
}

function repeatUntilStopped(round: () => Promise<void>): () => void {
  const stopping = new AbortController();
  void (async () => {
    while (!stopping.signal.aborted) {
      // Redis is gone for now: the next round does it.
      await round().catch(() => {});
      await sleep(ROUND_MS, null, { signal: stopping.signal }).catch(() => {});
    }
  })();
  return () => stopping.abort();
}
