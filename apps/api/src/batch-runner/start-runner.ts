/** What a runner of batches is made of, and in which order it starts and stops. */
import { hostname } from 'node:os';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { createProducerStore } from '@qarr/job-store';
import {
  createErrorLog,
  createLogger,
  createStopper,
  logJobChange,
  requireSafeRedis,
  startOpsServer,
  startTracing,
  within,
} from '@qarr/process';
import type { Running } from '@qarr/process';
import { checkFileStore, createFileStore } from '../files/file-config.ts';
import { watchTiers } from '../tier-watch.ts';
import { createTokenizer } from '../tokenizer.ts';
import { readConfig } from './config.ts';
import { createFeeder } from './feeding.ts';
import { createHeldOutcomes } from './held-outcomes.ts';
import { holdLease } from './hold-lease.ts';
import type { Term } from './hold-lease.ts';
import { createRunnerMetrics } from './metrics.ts';
import type { RunnerMetrics } from './metrics.ts';
import { createOwnerTurns } from './owner-turns.ts';
import { runBatches } from './run-batches.ts';
import { createTidy } from './tidy.ts';

/** So many commits' worth of outcomes may wait for the file store. */
const COMMITS_HELD = 4;
/** Each reads a whole file, and keeps a list of all its custom_ids meanwhile. */
const VALIDATIONS_AT_ONCE = 2;
const EXPIRE_EVERY_MS = 60_000;
const ORPHANS_EVERY_MS = 3_600_000;

export async function startRunner(): Promise<Running> {
  const config = readConfig();
  const log = createLogger({ name: 'batch-runner', level: config.logLevel });
  const stopper = createStopper();
  const tracing = await startTracing(config.tracing, { service: 'qarr-batch-runner', log });
  stopper.add(() => tracing.stop());
  const tiers = config.deployment.tiers.map(({ name }) => name);
  const runnerId = randomUUID();

  let counted: RunnerMetrics | null = null;
  const store = await createProducerStore({
    redisUrl: config.redisUrl,
    tiers,
    replicaId: runnerId,
    retention: config.retention,
    memoryPercentMax: config.memoryPercentMax,
    replicasMin: config.redisReplicasMin,
    alertPerWorker: config.depthAlertPerWorker,
    onChange(change) {
      logJobChange(log, change);
      counted?.changed(change);
    },
    onError: createErrorLog(log, 'Redis or the way to it fails'),
  });
  stopper.add(() => store.stop());
  requireSafeRedis(await store.check(), { allowVolatile: config.allowVolatileRedis, log });
  const files = createFileStore(config);
  stopper.add(() => files.stop());
  await checkFileStore(files, { place: config.place, records: store.files, log });

  const watch = watchTiers({ store, policy: config.deployment.policy });
  stopper.add(() => watch.stop());
  const { windowMax, depthMax } = config;
  const { commit } = config;
  const held = createHeldOutcomes({
    lines: COMMITS_HELD * commit.lines,
    bytes: COMMITS_HELD * commit.bytes,
  });
  const { isBlocked } = held;
  const feeder = createFeeder({ watch, tiers, windowMax, depthMax, isBlocked });
  stopper.add(() => feeder.stop());
  const metrics = createRunnerMetrics({
    windows: () => feeder.windows(),
    pingRedis: () => store.ping(),
  });
  counted = metrics;
  const { opsHost: host, opsPort } = config;
  const ops = await startOpsServer({ host, port: opsPort, registry: metrics.registry });
  stopper.add(() => ops.stop());

  const deps = {
    store,
    files,
    watch,
    tokenizer: createTokenizer({ host: hostname() }),
    feeder,
    held,
    validations: createOwnerTurns(VALIDATIONS_AT_ONCE),
    config,
    metrics,
    tracing,
    log,
    activeMax: config.activeMax,
  };
  const tidy = createTidy({ store, files, log });
  const stopping = new AbortController();
  const holding = holdLease({
    runs: store.batchRuns,
    runnerId,
    signal: stopping.signal,
    async serve(term) {
      await Promise.all([
        runBatches(term, deps),
        repeat(() => tidy.expireFiles(), { everyMs: EXPIRE_EVERY_MS, term }),
        repeat(() => tidy.clearBatches(), { everyMs: EXPIRE_EVERY_MS, term }),
        repeat(() => tidy.removeOrphans(), { everyMs: ORPHANS_EVERY_MS, term }),
      ]);
    },
    onTerm(change, epoch) {
      metrics.leads(change === 'begun');
      log.info({ epoch }, change === 'begun' ? 'runs the batches' : 'runs the batches no more');
    },
  });
  stopper.add(async () => {
    stopping.abort();
    await within(config.drainMs, holding);
  });
  log.info({ ops_port: ops.port }, 'batch runner started');
  // It ends only when it was told to, or by a mistake of ours.
  const failed = holding.then(() => Promise.withResolvers<never>().promise);
  return { stop: stopper.stop, failed };
}

/** Each failure is one of Redis or of the file store: the next round does it. */
async function repeat(
  round: () => Promise<void>,
  { everyMs, term: { signal } }: { everyMs: number; term: Term },
): Promise<void> {
  while (!signal.aborted) {
    await round().catch(() => {});
    await sleep(everyMs, null, { signal }).catch(() => {});
  }
}
