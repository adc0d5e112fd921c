import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type {
  Claim,
  ClaimedJob,
  Consumer,
  Delivery,
  JobStanding,
  QueueEntry,
  WorkerStore,
} from '@qarr/job-store';
import { NO_TRACING, createLogger } from '@qarr/process';
import { BREAKER_DEFAULTS, NO_LOAD } from '@qarr/router-core';
import type { TierLoad, WorkerStatus } from '@qarr/router-core';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { NO_CAPABILITIES } from './capabilities.ts';
import type { Engine, EngineOutcome, RunOptions } from './engine.ts';
import { failureOfConnection } from './engine-failure.ts';
import { createWorkerMetrics } from './metrics.ts';
import { ALONE } from './upstream/alone-for-test.ts';
import { readEngineMetrics } from './upstream/engine-metrics.ts';
import type { Described, Description } from './upstream/describe.ts';
import type { Probe } from './upstream/probe.ts';
import { createServedModel } from './upstream/served-model.ts';
import { createUpstream } from './upstream/upstream.ts';
import { createUpstreams } from './upstream/upstreams.ts';
import { startWorker } from './worker.ts';

const PATIENCE = { timeout: 10_000, interval: 2 };
const NOBODY_WAITS_MS = 60_000;
/** Heartbeats in a row that make a worker stuck. */
const STUCK_AFTER_BEATS = 30;

const URL_OF_ENGINE = 'http://127.0.0.1:8000';
const DESCRIPTION: Description = {
  version: '0.28.0',
  models: [{ id: 'served', maxModelLen: 2_048 }],
};
const HERE: Described = { kind: 'described', description: DESCRIPTION };
const REFUSED: Described = { kind: 'unreachable', cause: 'ECONNREFUSED' };
const CONCURRENCY = 2;
const gone: EngineOutcome = {
  usage: null,
  ending: {
    kind: 'failed',
    failure: failureOfConnection('ECONNREFUSED', { reached: 'nobody' }),
  },
};
/** The engine was busy or gone; the job is given back. */
const BUSY: Delivery = { kind: 'again', delayMs: 1_000 };
const BACK: Delivery = { kind: 'again', delayMs: 1 };
/** A suspect that meets another one. */
const SUSPECT_BACK: Delivery = { kind: 'again', delayMs: 1_000 };
const BATCH_WAITS: TierLoad = {
  ...NO_LOAD,
  waiting: { ...NO_LOAD.waiting, batch: { jobs: 9, tokens: 9 } },
};
const whole: EngineOutcome = { usage: null, ending: { kind: 'whole', finishReasons: ['stop'] } };

/** Both queues and a store in memory. */
function createFakeStore() {
  const beats: WorkerStatus[] = [];
  const written: string[] = [];
  const queues = { foreground: createFakeQueue(), batch: createFakeQueue() };
  const { calls } = queues.foreground;
  const standings = new Map<string, JobStanding | null>();
  const suspects = new Set<string>();
  const store: WorkerStore & { waitingNow: number; batchesNow: number; loadNow: TierLoad } = {
    waitingNow: 0,
    batchesNow: 0,
    loadNow: NO_LOAD,
    ping: async () => {},
    check: async () => ({ fatal: [], volatile: [] }),
    async claim({ jobId }, { isAlone = false }): Promise<Claim> {
      if (suspects.has(jobId) && !isAlone) return { kind: 'alone' };
      suspects.delete(jobId);
      return {
        kind: 'run',
        job: claimedJob(jobId),
        readSoFar: async () => null,
        openLog: () => ({
          tokensMade: 0,
          append() {},
          async finish({ event }) {
            written.push(`${jobId} ${event.type}`);
            return 'ok';
          },
          async requeue({ burns }) {
            written.push(`${jobId} requeue ${burns}`);
            return 'ok';
          },
        }),
      };
    },
    look: async (jobIds) =>
      jobIds.map((jobId) => {
        const given = standings.get(jobId);
        if (given !== undefined) return given;
        const state = suspects.has(jobId) ? 'queued' : 'running';
        return { state, attempt: 1, cancelRequested: false };
      }),
    consume: ({ queue, ...options }) => queues[queue].consume(options),
    waiting: async (queue) => (queue === 'foreground' ? store.waitingNow : store.batchesNow),
    load: async () => store.loadNow,
    workers: async () => beats.slice(-1),
    async beat(status) {
      beats.push(status);
    },
    shareBreakers() {
      throw new Error('Engines do that');
    },
    async leave(id) {
      calls.push(`leave ${id}`);
    },
    async stop() {},
  };
  return {
    store,
    calls,
    beats,
    written,
    /** How jobs stand, where it is not as this worker believes. */
    standings,
    /** Jobs that wait and must run alone. */
    suspects,
    /** What the consumer of batches was told. */
    batchCalls: queues.batch.calls,
    deliver: (jobId: string) => queues.foreground.deliver({ jobId, class: 'standard' }),
    deliverBatch: (jobId: string) => queues.batch.deliver({ jobId, class: 'batch' }),
  };
}

/** `deliver` does what the queue does. */
function createFakeQueue() {
  const calls: string[] = [];
  let deliverEntry: Parameters<WorkerStore['consume']>[0]['deliver'] | null = null;
  let running = 0;
  let lastDeliveryMs = 0;
  const consumer: Consumer = {
    get running() {
      return running;
    },
    get lastDeliveryMs() {
      return lastDeliveryMs;
    },
    async pause() {
      calls.push('pause');
    },
    async setConcurrency(concurrency) {
      calls.push(`concurrency ${concurrency}`);
    },
    async resume() {
      calls.push('resume');
    },
    async stop() {},
  };
  return {
    calls,
    consume({
      paused,
      deliver,
    }: Pick<Parameters<WorkerStore['consume']>[0], 'paused' | 'deliver'>): Consumer {
      calls.push(paused ? 'consume paused' : 'consume');
      deliverEntry = deliver;
      return consumer;
    },
    async deliver({ jobId, class: jobClass }: Omit<QueueEntry, 'epoch'>): Promise<Delivery> {
      if (deliverEntry === null) throw new Error('Nobody consumes');
      running += 1;
      lastDeliveryMs += 1;
      const entry: QueueEntry = { jobId, epoch: 1, class: jobClass };
      try {
        return await deliverEntry(entry, { token: jobId, signal: new AbortController().signal });
      } finally {
        running -= 1;
      }
    },
  };
}

function claimedJob(jobId: string): ClaimedJob {
  return {
    jobId,
    attempt: 1,
    tokensBefore: 0,
    failures: 0,
    spared: 0,
    traceparent: null,
    requestId: null,
    deaths: 0,
    isReset: false,
    queueWaitMs: 0,
    runLeftMs: 60_000,
    onInterrupt: 'continue',
    request: { messages: [{ role: 'user', content: 'Hi' }], max_tokens: 1, temperature: 1 },
  };
}

/** An engine in memory: each run ends when the test says so, or when it is aborted. */
function createFakeEngine() {
  const runs: { options: RunOptions; end: (outcome: EngineOutcome) => void }[] = [];
  const engine: Engine = {
    run(_request, options) {
      const { promise, resolve } = Promise.withResolvers<EngineOutcome>();
      runs.push({ options, end: resolve });
      const onAbort = () => resolve({ usage: null, ending: { kind: 'aborted' } });
      options.signal.addEventListener('abort', onAbort, { once: true });
      return promise;
    },
    async stop() {},
  };
  return { engine, runs };
}

/** An engine that answers what it is asked, but for what the test says. */
function createFakeProbe(describeEngine: () => Promise<Described>, kvTokens: number | null): Probe {
  return {
    async describe(signal) {
      const stopped: Described = { kind: 'failed', cause: 'stopped' };
      if (signal.aborted) return stopped;
      return Promise.race([describeEngine(), once(signal, 'abort').then(() => stopped)]);
    },
    warmUp: async () => ({
      kind: 'warmed',
      capabilities: { ...NO_CAPABILITIES, countsContinuously: true },
      tokenMs: 20,
    }),
    canary: async () => ({ kind: 'answered' }),
    async scrape() {
      if (kvTokens === null) return { kind: 'none' };
      return { kind: 'scraped', metrics: { ...readEngineMetrics(''), kvTokens } };
    },
    async stop() {},
  };
}

function start({
  describeEngine = async () => HERE,
  kvTokens = null,
  beatMs = NOBODY_WAITS_MS,
  prepare = () => {},
}: {
  describeEngine?: () => Promise<Described>;
  /** Of the engine's cache, where it tells that. */
  kvTokens?: number | null;
  beatMs?: number;
  prepare?: (store: ReturnType<typeof createFakeStore>['store']) => void;
} = {}) {
  const fake = createFakeStore();
  prepare(fake.store);
  const { engine, runs } = createFakeEngine();
  const log = createLogger({ name: 'test', level: 'silent' });
  const servedModel = createServedModel(undefined);
  const common = { servedModel, fallbackModel: 'fast' };
  /** Signs of life of the engine. */
  const signs = { count: 0 };
  const worker = startWorker({
    config: {
      workerId: 'fast-host-1',
      host: 'host',
      retriesPerSuccess: 1,
      tier: { name: 'fast' },
    },
    store: fake.store,
    connectUpstreams(onChange) {
      const upstream = createUpstream({
        ...common,
        ceiling: CONCURRENCY,
        url: URL_OF_ENGINE,
        engine,
        probe: createFakeProbe(describeEngine, kvTokens),
        canaryEveryMs: NOBODY_WAITS_MS,
        breaker: { ...BREAKER_DEFAULTS, resetTimeoutMs: 1, resetTimeoutMsMax: 1 },
        shared: ALONE,
        onChange,
        onBreaker() {},
        log,
        askAgainBaseMs: 1,
      });
      const { acquire } = upstream;
      upstream.acquire = () => {
        const slot = acquire();
        return { ...slot, sawToken: () => void (signs.count += 1) };
      };
      return createUpstreams({ ...common, upstreams: [upstream] });
    },
    metrics: createWorkerMetrics({
      tier: 'fast',
      host: 'host',
      slots: () => ({ running: 0, free: 0, batch: 0 }),
    }),
    tracing: NO_TRACING,
    log,
    jobLog: log,
    beatMs,
    attendMs: 1,
  });
  onTestFinished(() => worker.stop({ drainMs: 0 }));
  return { ...fake, runs, worker, signs };
}

async function started(options: Parameters<typeof start>[0] = {}) {
  const all = start(options);
  await vi.waitFor(() => expect(all.calls).toContain('resume'), PATIENCE);
  return all;
}

/** A batch waits, and nothing else does. */
async function withBatches(options: Parameters<typeof start>[0] = {}) {
  const all = await started({
    ...options,
    prepare: (store) => (store.loadNow = BATCH_WAITS),
  });
  // Of two slots one stays free for foreground.
  await vi.waitFor(
    () => expect(all.batchCalls).toEqual(['consume paused', 'concurrency 1', 'resume']),
    PATIENCE,
  );
  expect(all.worker.batchSlots()).toBe(1);
  expect(all.calls).toContain('concurrency 1');
  return all;
}

/** Its engine answers once, then not before `comeBack`. */
async function abandoned() {
  const back = Promise.withResolvers<Described>();
  let probes = 0;
  const all = await started({
    describeEngine() {
      probes += 1;
      return probes === 1 ? Promise.resolve(HERE) : back.promise;
    },
  });
  const deliveries = [all.deliver('job_1'), all.deliver('job_2')];
  await vi.waitFor(() => expect(all.runs).toHaveLength(2), PATIENCE);
  for (const { end } of all.runs) end(gone);
  const results = await Promise.all(deliveries);
  return { ...all, results, comeBack: () => back.resolve(HERE) };
}

/** One job runs, and a suspect waits until it has ended. */
async function emptying(options: Parameters<typeof start>[0] = {}) {
  const all = await started(options);
  all.suspects.add('suspect').add('other');
  const neighbour = all.deliver('job_1');
  await vi.waitFor(() => expect(all.runs).toHaveLength(1), PATIENCE);
  const suspect = all.deliver('suspect');
  await vi.waitFor(() => expect(all.calls).toContain('pause'), PATIENCE);
  return { ...all, neighbour, suspect };
}

/** Beats fast, while jobs wait; returns how many beats there were when it gave up. */
async function beatsUntilFailed(): Promise<number> {
  const all = await started({ beatMs: 1 });
  all.store.waitingNow = 5;
  const atStart = all.beats.length;
  await expect(all.worker.failed).rejects.toThrow('nothing comes');
  return all.beats.length - atStart;
}

/** Resolves when so many beats have passed without a failure. */
async function staysAlive(
  { worker, beats }: ReturnType<typeof start>,
  count: number,
): Promise<void> {
  let failure: unknown = null;
  worker.failed.catch((error: unknown) => {
    failure = error;
  });
  const atStart = beats.length;
  await vi.waitFor(() => expect(beats.length - atStart).toBeGreaterThan(count), PATIENCE);
  expect(failure).toBeNull();
}

describe('a worker', () => {
  it('pulls nothing before its engine answers', async () => {
    let answers = 0;
    const { calls, beats } = await started({
      async describeEngine() {
        answers += 1;
        return answers < 3 ? REFUSED : HERE;
      },
    });
    expect(calls).toEqual(['consume paused', 'concurrency 2', 'resume']);
    expect(answers).toBe(3);
    expect(beats[0]).toMatchObject({ breaker: 'closed', slots: 0, max_model_len: null });
  });

  it('says what it is and what it does with each heartbeat', async () => {
    const { beats, deliver, runs } = await started({ beatMs: 1 });
    const delivery = deliver('job_1');
    await vi.waitFor(() => {
      expect(beats.at(-1)).toEqual({
        id: 'fast-host-1',
        host: 'host',
        pid: process.pid,
        slots: 2,
        running: 1,
        breaker: 'closed',
        retry_in_ms: null,
        upstream: URL_OF_ENGINE,
        model: 'served',
        max_model_len: 2_048,
        service_ms: null,
        // A guess: a token in 20 ms, on two slots.
        tokens_per_s: 100,
        output_tokens: null,
        upstreams: [
          {
            url: URL_OF_ENGINE,
            state: 'ready',
            running: 1,
            slots: 2,
            waiting: null,
            kv_usage: null,
            preemptions: null,
            model: 'served',
            max_model_len: 2_048,
            version: '0.28.0',
            breaker: 'closed',
            retry_in_ms: null,
          },
        ],
      });
    }, PATIENCE);
    runs[0]?.end({
      ...whole,
      usage: { prompt_tokens: 16, completion_tokens: 7, total_tokens: 23 },
    });
    await delivery;
    await vi.waitFor(() => expect(beats.at(-1)).toMatchObject({ running: 0 }), PATIENCE);
    const { service_ms, tokens_per_s, output_tokens } = beats.at(-1) ?? {};
    expect(output_tokens).toBe(7);
    // Seven tokens and a prompt, on two slots.
    expect(tokens_per_s).toBeCloseTo((2 * 8 * 1_000) / (service_ms ?? 0), 6);
  });

  it('keeps saying what it gets done while its engine is away: what waits is done at that rate', async () => {
    let isAway = false;
    const describeEngine = async () => (isAway ? REFUSED : HERE);
    const { beats, deliver, runs } = await started({ beatMs: 1, describeEngine });
    const usage = { prompt_tokens: 16, completion_tokens: 7, total_tokens: 23 };
    const first = deliver('job_1');
    await vi.waitFor(() => expect(runs).toHaveLength(1), PATIENCE);
    runs[0]?.end({ ...whole, usage });
    await first;
    await vi.waitFor(() => expect(beats.at(-1)?.output_tokens).toBe(7), PATIENCE);
    const before = beats.at(-1)?.tokens_per_s;
    const second = deliver('job_2');
    await vi.waitFor(() => expect(runs).toHaveLength(2), PATIENCE);
    isAway = true;
    runs[1]?.end(gone);
    await second;
    await vi.waitFor(() => expect(beats.at(-1)).toMatchObject({ slots: 0 }), PATIENCE);
    expect(beats.findLast(({ slots }) => slots === 0)?.tokens_per_s).toBe(before);
  });

  it('runs a job under a name of its own, with what it has learnt of the engine', async () => {
    const { deliver, runs, signs, written } = await started();
    const delivery = deliver('job_1');
    await vi.waitFor(() => expect(runs).toHaveLength(1), PATIENCE);
    runs[0]?.options.onDelta({ text: 'Hi', reasoning: '' });
    expect(signs.count).toBe(1);
    expect(runs[0]?.options).toMatchObject({
      model: 'served',
      requestId: 'job_1-1',
      capabilities: expect.objectContaining({ countsContinuously: true }) as unknown,
    });
    runs[0]?.end(whole);
    expect(await delivery).toEqual({ kind: 'done' });
    expect(written).toEqual(['job_1 completed']);
  });

  it('cancels a job that it runs, and no other', async () => {
    const { deliver, runs, worker, written } = await started();
    const delivery = deliver('job_1');
    await vi.waitFor(() => expect(runs).toHaveLength(1), PATIENCE);
    worker.cancel('job_2');
    worker.cancel('job_1');
    await delivery;
    expect(written).toEqual(['job_1 cancelled']);
    expect(worker.running()).toBe(0);
  });

  it('does not count as service what failed at once', async () => {
    const { beats, deliver, runs } = await started({ beatMs: 1 });
    const delivery = deliver('job_1');
    await vi.waitFor(() => expect(runs).toHaveLength(1), PATIENCE);
    runs[0]?.end(gone);
    await delivery;
    const before = beats.length;
    await vi.waitFor(() => expect(beats.length).toBeGreaterThan(before + 1), PATIENCE);
    expect(beats.at(-1)).toMatchObject({ running: 0, service_ms: null });
  });

  it('gives back what arrives when its engine takes no more', async () => {
    const { deliver, runs, calls } = await started({ kvTokens: 2_048 });
    // A cache for one job, on an engine that could be given two.
    expect(calls).toEqual(['consume paused', 'concurrency 1', 'resume']);
    const delivery = deliver('job_1');
    await vi.waitFor(() => expect(runs).toHaveLength(1), PATIENCE);
    expect(await deliver('job_2')).toEqual(BACK);
    runs[0]?.end(whole);
    expect(await delivery).toEqual({ kind: 'done' });
  });

  it('survives a heartbeat that fails', async () => {
    const { beats } = await started({
      beatMs: 1,
      prepare(store) {
        const { beat } = store;
        let count = 0;
        store.beat = async (status) => {
          count += 1;
          if (count <= 2) throw new Error('LOADING Redis is loading the dataset in memory');
          return beat(status);
        };
      },
    });
    await vi.waitFor(() => expect(beats.length).toBeGreaterThan(2), PATIENCE);
  });
});

describe('a worker whose engine is gone', () => {
  it('pauses once, and pulls again when it answers', async () => {
    const { calls, results, written, comeBack } = await abandoned();
    expect(results).toEqual([BUSY, BUSY]);
    expect(written).toEqual(['job_1 requeue spare', 'job_2 requeue spare']);
    const before = ['consume paused', 'concurrency 2', 'resume', 'pause'];
    expect(calls).toEqual(before);
    comeBack();
    await vi.waitFor(() => expect(calls).toEqual([...before, 'concurrency 2', 'resume']), PATIENCE);
  });

  it('gives back what still arrives, unclaimed', async () => {
    const { deliver, runs, written } = await abandoned();
    expect(await deliver('job_3')).toEqual(BACK);
    expect(runs).toHaveLength(2);
    expect(written).toHaveLength(2);
  });

  it('takes work as soon as it answers', async () => {
    const { calls, deliver, runs, comeBack } = await abandoned();
    comeBack();
    await vi.waitFor(
      () => expect(calls.filter((call) => call === 'resume')).toHaveLength(2),
      PATIENCE,
    );
    const delivery = deliver('job_3');
    await vi.waitFor(() => expect(runs).toHaveLength(3), PATIENCE);
    runs[2]?.end(whole);
    expect(await delivery).toEqual({ kind: 'done' });
  });

  it('stops while it waits', async () => {
    const { calls, worker, comeBack } = await abandoned();
    await worker.stop({ drainMs: 0 });
    comeBack();
    await sleep(0);
    expect(calls.at(-1)).toBe('leave fast-host-1');
    expect(calls.filter((call) => call === 'resume')).toHaveLength(1);
  });

  it('fails when it cannot pause', async () => {
    const { deliver, runs, worker } = await started({
      prepare(store) {
        const { consume } = store;
        store.consume = (options) => {
          const consumer = consume(options);
          const { pause } = consumer;
          consumer.pause = async () => {
            consumer.pause = pause;
            throw new Error('cannot pause');
          };
          return consumer;
        };
      },
    });
    const delivery = deliver('job_1');
    await vi.waitFor(() => expect(runs).toHaveLength(1), PATIENCE);
    runs[0]?.end(gone);
    await expect(worker.failed).rejects.toThrow('cannot pause');
    await delivery;
  });
});

describe('a worker with batches', () => {
  it('runs them beside foreground, and gives back what is too much', async () => {
    const { deliver, deliverBatch, runs, written } = await withBatches();
    const deliveries = [deliver('job_1'), deliverBatch('job_2')];
    await vi.waitFor(() => expect(runs).toHaveLength(2), PATIENCE);
    expect(await deliver('job_3')).toEqual(BACK);
    expect(await deliverBatch('job_4')).toEqual(BACK);
    for (const { end } of runs) end(whole);
    await Promise.all(deliveries);
    expect(written.toSorted()).toEqual(['job_1 completed', 'job_2 completed']);
    const next = deliverBatch('job_4');
    await vi.waitFor(() => expect(runs).toHaveLength(3), PATIENCE);
    runs[2]?.end(whole);
    expect(await next).toEqual({ kind: 'done' });
  });

  it('drains both queues', async () => {
    const { batchCalls, calls, deliver, deliverBatch, runs, worker, written } = await withBatches();
    const deliveries = [deliver('job_1'), deliverBatch('job_2')];
    await vi.waitFor(() => expect(runs).toHaveLength(2), PATIENCE);
    const stopped = worker.stop({ drainMs: NOBODY_WAITS_MS });
    runs[0]?.end(whole);
    await deliveries[0];
    expect([calls, batchCalls].map((all) => all.includes('pause'))).toEqual([true, true]);
    expect(await deliverBatch('job_3')).toEqual(BACK);
    runs[1]?.end(whole);
    await stopped;
    expect(await deliveries[1]).toEqual({ kind: 'done' });
    expect(written).toEqual(['job_1 completed', 'job_2 completed']);
  });

  it('hands them back when they do not finish', async () => {
    const { deliverBatch, runs, worker, written } = await withBatches();
    const delivery = deliverBatch('job_1');
    await vi.waitFor(() => expect(runs).toHaveLength(1), PATIENCE);
    await worker.stop({ drainMs: 1 });
    expect(await delivery).toEqual(BACK);
    expect(written).toEqual(['job_1 requeue nothing']);
  });

  it('runs a suspect among them alone, pulling from neither queue', async () => {
    const { batchCalls, calls, deliver, deliverBatch, runs, suspects } = await withBatches();
    suspects.add('suspect');
    const neighbour = deliver('job_1');
    await vi.waitFor(() => expect(runs).toHaveLength(1), PATIENCE);
    const suspect = deliverBatch('suspect');
    await vi.waitFor(() => {
      expect([calls.at(-1), batchCalls.at(-1)]).toEqual(['pause', 'pause']);
    }, PATIENCE);
    runs[0]?.end(whole);
    await neighbour;
    await vi.waitFor(() => expect(runs).toHaveLength(2), PATIENCE);
    expect(await deliver('job_2')).toEqual(BACK);
    runs[1]?.end(whole);
    expect(await suspect).toEqual({ kind: 'done' });
  });

  it('fails when only foreground comes', async () => {
    const all = await withBatches({ beatMs: 1 });
    all.store.batchesNow = 5;
    await expect(all.worker.failed).rejects.toThrow('nothing comes');
  });
});

describe('a worker that looks how its jobs stand', () => {
  it.each<[string, JobStanding | null, string[]]>([
    [
      'ends one that shall be cancelled, though no message came',
      { state: 'running', attempt: 1, cancelRequested: true },
      ['job_1 cancelled'],
    ],
    ['leaves one that another has', { state: 'running', attempt: 2, cancelRequested: false }, []],
    ['leaves one that is gone', null, []],
  ])('%s', async (_name, standing, expected) => {
    const { deliver, runs, standings, written, worker } = await started();
    const deliveries = [deliver('job_1'), deliver('job_2')];
    await vi.waitFor(() => expect(runs).toHaveLength(2), PATIENCE);
    standings.set('job_1', standing);
    expect(await deliveries[0]).toEqual({ kind: 'done' });
    expect(runs[0]?.options.signal.aborted).toBe(true);
    expect(written).toEqual(expected);
    expect(runs[1]?.options.signal.aborted).toBe(false);
    expect(worker.running()).toBe(1);
  });

  it('does so also while it drains', async () => {
    const { deliver, runs, standings, written, worker } = await started();
    const delivery = deliver('job_1');
    await vi.waitFor(() => expect(runs).toHaveLength(1), PATIENCE);
    const stopped = worker.stop({ drainMs: NOBODY_WAITS_MS });
    standings.set('job_1', null);
    await stopped;
    expect(await delivery).toEqual({ kind: 'done' });
    expect(written).toEqual([]);
  });
});

describe('a worker that meets a suspect', () => {
  it('runs it when nothing else runs, and pulls nothing meanwhile', async () => {
    const { calls, deliver, runs, written, neighbour, suspect } = await emptying();
    expect(await deliver('job_2')).toEqual(BACK);
    expect(await deliver('other')).toEqual(BACK);
    expect(runs).toHaveLength(1);
    runs[0]?.end(whole);
    await neighbour;
    await vi.waitFor(() => expect(runs).toHaveLength(2), PATIENCE);
    expect(await deliver('job_2')).toEqual(BACK);
    expect(calls.at(-1)).toBe('pause');
    runs[1]?.end(whole);
    expect(await suspect).toEqual({ kind: 'done' });
    expect(written).toEqual(['job_1 completed', 'suspect completed']);
    await vi.waitFor(() => expect(calls.at(-1)).toBe('resume'), PATIENCE);
  });

  it('gives a second one back that it met at the same moment', async () => {
    const { deliver, runs, suspects } = await started();
    suspects.add('suspect').add('other');
    const [first, second] = [deliver('suspect'), deliver('other')];
    expect(await second).toEqual(SUSPECT_BACK);
    await vi.waitFor(() => expect(runs).toHaveLength(1), PATIENCE);
    runs[0]?.end(whole);
    expect(await first).toEqual({ kind: 'done' });
  });

  it('gives it back when it drains, and its neighbour may finish', async () => {
    const { runs, worker, written, neighbour, suspect } = await emptying();
    const stopped = worker.stop({ drainMs: NOBODY_WAITS_MS });
    expect(await suspect).toEqual(SUSPECT_BACK);
    runs[0]?.end(whole);
    await stopped;
    await neighbour;
    expect(written).toEqual(['job_1 completed']);
  });

  it('pulls again when the suspect is cancelled meanwhile', async () => {
    const { calls, runs, standings, suspect } = await emptying();
    standings.set('suspect', { state: 'cancelled', attempt: 2, cancelRequested: false });
    expect(await suspect).toEqual(SUSPECT_BACK);
    await vi.waitFor(() => expect(calls.at(-1)).toBe('resume'), PATIENCE);
    expect(runs).toHaveLength(1);
  });

  it('is not stuck while it waits', async () => {
    const all = await emptying({ beatMs: 1 });
    all.store.waitingNow = 5;
    await staysAlive(all, 2 * STUCK_AFTER_BEATS);
  });
});

describe('a worker that drains', () => {
  it('stops pulling, lets a job finish, and leaves', async () => {
    const { calls, deliver, runs, worker, written } = await started();
    const delivery = deliver('job_1');
    await vi.waitFor(() => expect(runs).toHaveLength(1), PATIENCE);
    const stopped = worker.stop({ drainMs: NOBODY_WAITS_MS });
    await vi.waitFor(
      () => expect(calls.slice(3).toSorted()).toEqual(['leave fast-host-1', 'pause']),
      PATIENCE,
    );
    expect(written).toEqual([]);
    runs[0]?.end(whole);
    await stopped;
    expect(await delivery).toEqual({ kind: 'done' });
    expect(written).toEqual(['job_1 completed']);
  });

  it('hands back what does not finish, nothing burnt', async () => {
    const { deliver, runs, worker, written } = await started();
    const deliveries = [deliver('job_1'), deliver('job_2')];
    await vi.waitFor(() => expect(runs).toHaveLength(2), PATIENCE);
    await worker.stop({ drainMs: 1 });
    expect(await Promise.all(deliveries)).toEqual([BACK, BACK]);
    expect(written).toEqual(['job_1 requeue nothing', 'job_2 requeue nothing']);
    expect(worker.running()).toBe(0);
  });

  it('hands back a job whose claim is answered late', async () => {
    const answer = Promise.withResolvers<void>();
    const { calls, deliver, worker, written } = await started({
      prepare(store) {
        const { claim } = store;
        store.claim = async (...args) => {
          await answer.promise;
          return claim(...args);
        };
      },
    });
    const delivery = deliver('job_1');
    const stopped = worker.stop({ drainMs: 0 });
    await vi.waitFor(() => expect(calls).toContain('leave fast-host-1'), PATIENCE);
    await sleep(0);
    answer.resolve();
    await stopped;
    expect(await delivery).toEqual(BACK);
    expect(written).toEqual(['job_1 requeue nothing']);
  });

  it('gives back what still arrives, unclaimed', async () => {
    const { deliver, runs, worker, written } = await started();
    const stopped = worker.stop({ drainMs: 0 });
    expect(await deliver('job_1')).toEqual(BACK);
    await stopped;
    expect({ runs, written }).toEqual({ runs: [], written: [] });
  });

  it('is not entered again by a heartbeat that was under way', async () => {
    const order: string[] = [];
    const slow = Promise.withResolvers<void>();
    const { worker } = await started({
      prepare(store) {
        store.beat = async () => {
          await slow.promise;
          order.push('beat');
        };
        store.leave = async () => void order.push('leave');
      },
    });
    const stopped = worker.stop({ drainMs: 0 });
    slow.resolve();
    await stopped;
    expect(order).toEqual(['beat', 'leave']);
  });

  it('hands back also when its goodbye is never answered', async () => {
    const { deliver, runs, worker, written } = await started({
      prepare(store) {
        store.leave = () => new Promise(() => {});
      },
    });
    const delivery = deliver('job_1');
    await vi.waitFor(() => expect(runs).toHaveLength(1), PATIENCE);
    await worker.stop({ drainMs: 0 });
    await delivery;
    expect(written).toEqual(['job_1 requeue nothing']);
  });
});

describe('a worker that is stuck', () => {
  it('fails after some heartbeats without a delivery', async () => {
    expect(await beatsUntilFailed()).toBeGreaterThanOrEqual(STUCK_AFTER_BEATS - 1);
  });

  it('does not fail while nothing waits, nor at the moment when something does', async () => {
    const all = await started({ beatMs: 1 });
    await staysAlive(all, 2 * STUCK_AFTER_BEATS);
    all.store.waitingNow = 1;
    await staysAlive(all, STUCK_AFTER_BEATS / 3);
  });

  it('does not fail while its slots are taken, nor at the moment when one comes free', async () => {
    const all = await started({ beatMs: 1 });
    all.store.waitingNow = 5;
    const deliveries = [all.deliver('job_1'), all.deliver('job_2')];
    await vi.waitFor(() => expect(all.runs).toHaveLength(2), PATIENCE);
    await staysAlive(all, 2 * STUCK_AFTER_BEATS);
    all.runs[0]?.end(whole);
    await deliveries[0];
    await staysAlive(all, STUCK_AFTER_BEATS / 3);
  });

  it('does not fail while jobs come', async () => {
    const all = await started({ beatMs: 1 });
    all.store.waitingNow = 5;
    const busy = new AbortController();
    const feeding = (async () => {
      while (!busy.signal.aborted) {
        const delivery = all.deliver('job_1');
        await vi.waitFor(() => expect(all.worker.running()).toBe(1), PATIENCE);
        all.runs.at(-1)?.end(whole);
        await delivery;
      }
    })();
    await staysAlive(all, 2 * STUCK_AFTER_BEATS);
    busy.abort();
    await feeding;
  });

  it('does not fail while it waits for its engine', async () => {
    const all = start({ beatMs: 1, describeEngine: async () => REFUSED });
    all.store.waitingNow = 5;
    await staysAlive(all, 2 * STUCK_AFTER_BEATS);
  });
});
