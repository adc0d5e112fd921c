import type { EngineMetrics } from '../metrics/engine-metrics.ts';
import type { Profile } from '../profiles.ts';
import { type Admission, type AdmissionLimits, checkAdmission } from './admission.ts';
import type { Clock } from './clock.ts';
import { createJitter } from './jitter.ts';
import { createKvCache } from './kv-cache.ts';
import { createScheduler, type SchedulerLimits } from './scheduler.ts';
import { createSequenceMetrics } from './sequence-metrics.ts';
import { type Choices, createSequence, type Sequence, type Submission } from './sequence.ts';
import { stepCostMs } from './step-cost.ts';
import { createStepLoop } from './step-loop.ts';
import type { StepPlan } from './step-plan.ts';

export type Engine = {
  /** Queues a sequence. Limits at the door are `admit`'s business. */
  submit(submission: Submission): { abort: () => void };
  /** Whether a request of so many choices may be submitted; a refusal is counted. */
  admit(request: Choices): Admission;
  counts(): { running: number; waiting: number };

  /** No step begins or ends any more. Requests are taken and get nothing; gauges stay as they are. */
  hang(): void;
  resume(): void;
  /** The engine's process is gone: every sequence ends with reason `error`, now and later. */
  die(): void;
  isDead(): boolean;
  /** Ends every sequence with reason `abort` and goes on, as /abort_requests. Returns how many. */
  abortAll(): number;
  /** Sets the size of the KV cache. A smaller one preempts what it does not hold. */
  resizeKv(blocks: number): void;
  /** Makes each step so many times as long. */
  setSlowFactor(factor: number): void;

  /**
   * vLLM's shutdown with a timeout: a new sequence ends with `abort` at once, those that are here
   * may finish until `timeoutMs`, and then the rest is aborted.
   */
  drain(timeoutMs: number): Promise<void>;
  /** Ends every sequence, and each one that comes later, with finish reason `abort`. Idempotent. */
  stop(): void;
};

export type EngineOptions = SchedulerLimits &
  AdmissionLimits & {
    readonly profile: Profile;
    readonly kvBlocks: number;
    readonly prefixCaching: boolean;
    /** Factor on every cost: 0.5 is twice as fast. */
    readonly timeScale: number;
    /** Sigma of the steps' lognormal noise. */
    readonly jitter: number;
    readonly seed: number;
  };

/**
 * What becomes of sequences:
 *
 *   serving    they are taken and computed; `drain`, `stop` and `die` leave this phase
 *   draining   those that are here are computed, new ones aborted; `stop` and `die` leave it
 *   stopped    none are here, new ones are aborted
 *   dead       none are here, new ones fail
 */
type Phase = 'serving' | 'draining' | 'stopped' | 'dead';

export function createEngine(
  options: EngineOptions & { clock: Clock; metrics: EngineMetrics },
): Engine {
  const { profile, metrics, clock } = options;
  const kv = createKvCache({ blocks: options.kvBlocks });
  const scheduler = createScheduler<Sequence>(options, kv);
  const observer = createSequenceMetrics(metrics);
  const jitter = createJitter({ seed: options.seed, sigma: options.jitter });
  const loop = createStepLoop({ scheduler, observer, clock, costMs, onStepped });
  const drained = new AbortController();
  let phase: Phase = 'serving';
  let slowFactor = 1;

  function costMs(plan: StepPlan<Sequence>): number {
    // All were preempted: the scheduler only comes back to its beginning.
    if (plan.work.length === 0) return 0;
    return stepCostMs(profile, plan) * options.timeScale * slowFactor * jitter();
  }

  function onStepped(): void {
    metrics.running.set(scheduler.running().length);
    metrics.waiting.set(scheduler.waiting().length);
    metrics.kvUsage.set(kv.usage());
    if (phase === 'draining' && unfinished().length === 0) drained.abort();
  }

  function unfinished(): readonly Sequence[] {
    return [...scheduler.running(), ...scheduler.waiting()].filter(isUnfinished);
  }

  function abort(sequence: Sequence): void {
    sequence.over = true;
    observer.finished(sequence, 'abort', clock.now());
    const text = sequence.generation?.flush() ?? '';
    sequence.onOutput({ tokenIds: [], text, finish: { reason: 'abort', stopReason: null } });
  }

  function endAll(end: 'stopped' | 'dead'): void {
    if (phase === 'stopped' || phase === 'dead') return;
    phase = end;
    unfinished().forEach(end === 'dead' ? fail : abort);
    loop.cut(end === 'dead' ? 'dead' : 'alive');
    drained.abort();
  }

  /** For a sequence that comes too late; the caller first gets its ticket. */
  function endSoon(sequence: Sequence): void {
    const end = phase === 'dead' ? fail : abort;
    queueMicrotask(() => {
      if (!sequence.over) end(sequence);
    });
  }

  return {
    submit(submission) {
      const sequence = createSequence(submission, { ...options, arrivedAtMs: clock.now() });
      if (phase === 'serving') {
        scheduler.add(sequence);
        loop.wake();
      } else {
        endSoon(sequence);
      }
      return {
        // vLLM does not count these in request_success_total.
        abort() {
          if (sequence.over) return;
          sequence.over = true;
          loop.wake();
        },
      };
    },
    admit(request) {
      const sequences = unfinished();
      const prefillTokens = sequences
        .filter(({ generatedTokens }) => generatedTokens === 0)
        .reduce((sum, { promptTokens }) => sum + promptTokens, 0);
      const load = { sequences: sequences.length, prefillTokens };
      const admission = checkAdmission(options, load, request);
      if (admission.kind === 'refused') metrics.admissionRejections.add(admission.reason);
      return admission;
    },
    counts() {
      const running = scheduler.running().filter(isUnfinished).length;
      return { running, waiting: scheduler.waiting().filter(isUnfinished).length };
    },
    hang() {
      if (phase === 'serving' || phase === 'draining') loop.hang();
    },
    resume: loop.resume,
    die() {
      endAll('dead');
    },
    isDead: () => phase === 'dead',
    abortAll() {
      const sequences = unfinished();
      sequences.forEach(abort);
      loop.wake();
      return sequences.length;
    },
    resizeKv(blocks) {
      kv.resize(blocks);
      loop.wake();
    },
    setSlowFactor(factor) {
      slowFactor = factor;
    },
    async drain(timeoutMs) {
      if (phase === 'serving') {
        phase = 'draining';
        if (unfinished().length > 0) await clock.sleep(timeoutMs, drained.signal);
      }
      endAll('stopped');
    },
    stop() {
      endAll('stopped');
    },
  };
}

function isUnfinished(sequence: Sequence): boolean {
  return !sequence.over;
}

/** Ends a sequence of a dead engine, which counts nothing. */
function fail(sequence: Sequence): void {
  sequence.over = true;
  sequence.onOutput({ tokenIds: [], text: '', finish: { reason: 'error', stopReason: null } });
}
