/**
 * A worker: one tier, one or several engines, a number of slots.
 *
 * It pulls as much as its engines that are ready can take, and nothing when none is. What runs is
 * not touched by that. `sharing.ts` says how much of it is foreground and how much is batch.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { HEARTBEAT_MS } from '@qarr/job-store';
import type { Delivery, QueueEntry, QueueKind, WorkerStore } from '@qarr/job-store';
import { createErrorLog, within } from '@qarr/process';
import type { Logger, Tracing } from '@qarr/process';
import type { WorkerStatus } from '@qarr/router-core';
import { ATTEND_MS, startAttending, stopOf } from './attend.ts';
import type { Held } from './attend.ts';
import type { WorkerConfig } from './config.ts';
import { isVisible } from './engine-chunk.ts';
import { beginEngineSpan, endEngineSpan } from './engine-span.ts';
import type { WorkerMetrics } from './metrics.ts';
import { processJob } from './process-job.ts';
import type { ProcessJobDeps, RunningAttempt } from './process-job.ts';
import { createQuarantine } from './quarantine.ts';
import { createRetries } from './retries.ts';
import { NO_JOBS_YET, countServed, tokensPerS } from './service-rate.ts';
import { createSharing } from './sharing.ts';
import { createStuckCheck } from './stuck-check.ts';
import type { Slot } from './upstream/slot.ts';
import type { Upstreams } from './upstream/upstreams.ts';

const IDLE_CHECK_MS = 10;
/** A suspect that meets a worker which waits for another one, or has one: somebody else may be free. */
const SUSPECT_BACK_MS = 1_000;
/** What was handed back must be written before the process may end. */
const HAND_BACK_MS = 3_000;
/** A worker that cannot say goodbye is forgotten by itself. */
const GOODBYE_MS = 1_000;
/** Jobs that wait to be tried again; those beyond it may meet the same engine. */
const FAILED_ON_MAX = 10_000;
const BACK: Delivery = { kind: 'again', delayMs: 1 };
const NO_CAPACITY = { slots: 0, jobsMax: 0 };

export interface TierWorker {
  /** Rejects when the worker pulls nothing though it could. */
  readonly failed: Promise<never>;
  /** Asks a running job to stop; nothing happens when it does not run here. */
  cancel(jobId: string): void;
  running(): number;
  /** How many jobs of batches it may have at once, now. */
  batchSlots(): number;
  /** Stops pulling, lets what can finish within `drainMs` finish, hands the rest back. */
  stop(options: { drainMs: number }): Promise<void>;
}

export function startWorker({
  config,
  store,
  connectUpstreams,
  metrics,
  tracing,
  log,
  jobLog,
  beatMs = HEARTBEAT_MS,
  attendMs = ATTEND_MS,
}: {
  config: Pick<WorkerConfig, 'workerId' | 'host' | 'retriesPerSuccess'> & {
    readonly tier: Pick<WorkerConfig['tier'], 'name'>;
  };
  store: WorkerStore;
  /** Called once; `onChange` whenever the capacity may be another. They end with the worker. */
  connectUpstreams: (onChange: () => void) => Upstreams;
  metrics: WorkerMetrics;
  tracing: Pick<Tracing, 'span'>;
  log: Logger;
  /** For lines that name their tier themselves, because they are of a job. */
  jobLog: Logger;
  beatMs?: number;
  attendMs?: number;
}): TierWorker {
  const running = new Map<string, RunningAttempt>();
  const stopping = new AbortController();
  const failed = Promise.withResolvers<never>();
  const onBeatError = createErrorLog(log, 'heartbeat failed');
  /** The engine that failed a job last. */
  const failedOn = new Map<string, string>();
  const retries = createRetries(config.retriesPerSuccess);
  let rate = NO_JOBS_YET;
  /** While its engines were well. */
  let slotsWhenWell = 0;
  /** A job that waits here until it is alone. */
  let suspect: { readonly jobId: string; readonly giveUp: AbortController } | null = null;

  const quarantine = createQuarantine(follow);
  const consumers = { foreground: consume('foreground'), batch: consume('batch') };
  const sharing = createSharing({
    workerId: config.workerId,
    consumers,
    capacity() {
      const isPulling = quarantine.isOpen && !stopping.signal.aborted;
      return isPulling ? upstreams.capacity() : NO_CAPACITY;
    },
    load: store.load,
    workers: store.workers,
    onFailed: failed.reject,
    onError: createErrorLog(log, 'look at the load failed'),
  });
  const upstreams = connectUpstreams(follow);

  function consume(queue: QueueKind) {
    return store.consume({
      queue,
      // None yet: the engines' states and limits say how many.
      concurrency: 1,
      paused: true,
      onStalled: metrics.stalled,
      async deliver(entry, delivery) {
        // A pull that was under way when there was room for it: somebody else shall have it.
        if (stopping.signal.aborted || !quarantine.isOpen || upstreams.capacity().free === 0) {
          return BACK;
        }
        const leaves = [quarantine.enter(), sharing.enter(queue)];
        try {
          const outcome = await take(entry, { ...delivery, isAlone: false });
          return outcome.kind === 'alone' ? await takeAlone(entry, delivery) : outcome;
        } finally {
          for (const leave of leaves) leave();
        }
      },
    });
  }

  function follow(): void {
    sharing.follow().catch(failed.reject);
  }

  async function take(
    entry: QueueEntry,
    delivery: { token: string; signal: AbortSignal; isAlone: boolean },
  ): Promise<Delivery | { kind: 'alone' }> {
    const slot = upstreams.acquire({ avoid: failedOn.get(entry.jobId) });
    // None is ready any more.
    if (slot === null) return BACK;
    const takenMs = performance.now();
    try {
      return await processJob(entry, delivery, {
        worker: config.workerId,
        upstream: slot.url,
        tier: config.tier.name,
        claim: store.claim,
        run: runOn(slot, takenMs),
        running,
        draining: stopping.signal,
        random: Math.random,
        retries,
        tracing,
        log: jobLog,
        metrics,
      });
    } finally {
      slot.release();
    }
  }

  /** Takes a suspect when nothing else runs here, and nothing beside it. */
  async function takeAlone(
    entry: QueueEntry,
    delivery: { token: string; signal: AbortSignal },
  ): Promise<Delivery> {
    const back: Delivery = { kind: 'again', delayMs: SUSPECT_BACK_MS };
    if (!quarantine.isOpen) return back;
    const giveUp = new AbortController();
    suspect = { jobId: entry.jobId, giveUp };
    log.warn(
      { job_id: entry.jobId, running: running.size },
      'job has ended workers: it runs alone',
    );
    const isAlone = await quarantine.close(
      AbortSignal.any([stopping.signal, delivery.signal, giveUp.signal]),
    );
    suspect = null;
    if (!isAlone) return back;
    try {
      const outcome = await take(entry, { ...delivery, isAlone: true });
      return outcome.kind === 'alone' ? back : outcome;
    } finally {
      quarantine.reopen();
    }
  }

  /** What runs here, and who waits to. */
  function held(): Held[] {
    const attempts = [...running].map(([jobId, { attempt, stop }]): Held => {
      return {
        jobId,
        onStanding(standing) {
          const reason = stopOf(attempt, standing);
          if (reason !== null) stop(reason);
        },
      };
    });
    if (suspect === null) return attempts;
    const { jobId, giveUp } = suspect;
    // It waits as `queued`: cancelled or deleted, it need not.
    const onStanding: Held['onStanding'] = (standing) => {
      if (standing?.state !== 'queued') giveUp.abort();
    };
    return [...attempts, { jobId, onStanding }];
  }

  function runOn(slot: Slot, takenMs: number): ProcessJobDeps['run'] {
    return async (job, options) => {
      const { model, url } = slot;
      const parent = options.traceparent;
      const span = beginEngineSpan(job.request, { tracing, parent, model, url });
      let hasBegun = false;
      const answered = await slot.engine.run(job, {
        ...options,
        model,
        // A name per attempt: engines refuse or confuse a request id that is still in use.
        requestId: `${job.jobId}-${job.attempt}`,
        capabilities: slot.capabilities,
        traceparent: span.traceparent,
        onDelta(delta) {
          if (!hasBegun && isVisible(delta)) {
            hasBegun = true;
            span.event('first_token');
          }
          slot.sawToken();
          options.onDelta(delta);
        },
      });
      endEngineSpan(span, answered);
      const outcome = slot.report(answered);
      noteFailure(job.jobId, outcome.ending.kind === 'failed' ? slot.url : null);
      if (outcome.ending.kind === 'whole') {
        rate = countServed(rate, {
          slotMs: performance.now() - takenMs,
          usage: outcome.usage,
          tokensBefore: job.soFar === null ? 0 : job.tokensBefore,
        });
      }
      return outcome;
    };
  }

  /** So that the next attempt goes elsewhere, if it comes here. */
  function noteFailure(jobId: string, url: string | null): void {
    failedOn.delete(jobId);
    if (url === null) return;
    const [oldest] = failedOn.keys();
    if (failedOn.size >= FAILED_ON_MAX && oldest !== undefined) failedOn.delete(oldest);
    failedOn.set(jobId, url);
  }

  /** One heartbeat that fails is not the end: the next one may succeed. */
  async function beatUntilStopped(): Promise<void> {
    const stuckChecks = [stuckCheck('foreground'), stuckCheck('batch')];
    while (!stopping.signal.aborted) {
      try {
        await store.beat(status());
        const verdicts = await Promise.all(stuckChecks.map((isStuck) => isStuck()));
        if (verdicts.includes(true)) {
          failed.reject(new Error('jobs wait and slots are free, but nothing comes'));
        }
      } catch (error) {
        onBeatError(error as Error);
      }
      await pause(beatMs);
    }
  }

  function stuckCheck(queue: QueueKind) {
    return createStuckCheck({
      // Who waits to be alone with a job does not pull.
      isFree: () => sharing.running[queue] < sharing.shares()[queue],
      lastDeliveryMs: () => consumers[queue].lastDeliveryMs,
      waiting: () => store.waiting(queue),
    });
  }

  function status(): WorkerStatus {
    const summary = upstreams.summary();
    if (summary.breaker === 'closed' && summary.slots > 0) slotsWhenWell = summary.slots;
    return {
      id: config.workerId,
      host: config.host,
      pid: process.pid,
      running: running.size,
      service_ms: rate.slotMs?.value ?? null,
      // Of what is broken as well: as fast as that it gets done what waits, when it is well again.
      tokens_per_s: tokensPerS(rate, slotsWhenWell) ?? upstreams.firstTokensPerS(),
      output_tokens: rate.outputTokens?.value ?? null,
      ...summary,
    };
  }

  /** Waits, but not longer than until the worker stops. */
  async function pause(ms: number): Promise<void> {
    await sleep(ms, null, { signal: stopping.signal }).catch(() => {});
  }

  const beating = beatUntilStopped();
  const attending = startAttending({
    held,
    look: store.look,
    everyMs: attendMs,
    onError: createErrorLog(log, 'look at jobs failed'),
  });

  async function untilIdle(ms: number, meanwhile: () => void = () => {}): Promise<void> {
    const deadlineMs = performance.now() + ms;
    while (entriesHeld() > 0 && performance.now() < deadlineMs) {
      meanwhile();
      await sleep(IDLE_CHECK_MS);
    }
  }

  function entriesHeld(): number {
    return consumers.foreground.running + consumers.batch.running;
  }

  function handBack(): void {
    for (const { stop } of running.values()) stop('hand-back');
  }

  return {
    failed: failed.promise,
    cancel: (jobId) => running.get(jobId)?.stop('cancel'),
    running: () => running.size,
    batchSlots: () => sharing.shares().batch,
    async stop({ drainMs }) {
      stopping.abort();
      // After the last heartbeat, which would enter it again.
      const left = beating.then(() => store.leave(config.workerId)).catch(onBeatError);
      sharing.stop();
      await sharing.follow();
      log.info({ running: running.size, drain_ms: drainMs }, 'draining');
      await untilIdle(drainMs);
      // Again and again: a job may only now get its claim.
      await untilIdle(HAND_BACK_MS, handBack);
      log.info({ left: entriesHeld() }, 'drained');
      attending.stop();
      await within(GOODBYE_MS, left);
      await upstreams.stop();
    },
  };
}
