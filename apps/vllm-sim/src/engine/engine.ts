import type { Profile } from '../profiles.ts';
import type { EngineMetrics } from '../metrics/engine-metrics.ts';
import { createGeneration, type Output, type Sampling } from './generation.ts';
import { createPace } from './pace.ts';
import { planStep, type StepPlan } from './plan-step.ts';
import type { Sequence } from './sequence.ts';
import { stepCostMs } from './step-cost.ts';

export type Engine = {
  /** Queues a sequence. The queue has no limit, as vLLM's has none. */
  submit(request: {
    promptIds: readonly number[];
    sampling: Sampling;
    /** Called once per step that yielded a token; the last call carries `finish`. */
    onOutput: (output: Output) => void;
  }): { abort: () => void };
  counts(): { running: number; waiting: number };
  /** Ends every sequence, and each one that comes later, with finish reason `abort`. Idempotent. */
  stop(): void;
};

/**
 * The engine loop. One step at a time: drop what is over, plan, let the step's time pass, hand out
 * its tokens. It runs only while there is work, so an idle engine holds no timer.
 *
 * @param deps.now a monotonic clock in milliseconds
 * @param deps.timeScale factor on every cost: 0.5 is twice as fast
 */
export function createEngine(deps: {
  profile: Profile;
  sequencesMax: number;
  timeScale: number;
  now: () => number;
  metrics: EngineMetrics;
}): Engine {
  const { profile, metrics, now } = deps;
  const limits = {
    sequencesMax: deps.sequencesMax,
    batchedTokensMax: profile.batchedTokensMax,
  };
  const stopping = new AbortController();
  let running: Sequence[] = [];
  let waiting: Sequence[] = [];
  let looping = false;

  async function loop(): Promise<void> {
    looping = true;
    const pace = createPace({ now, signal: stopping.signal });
    for (;;) {
      running = running.filter((sequence) => !sequence.over);
      waiting = waiting.filter((sequence) => !sequence.over);
      refreshGauges();
      if (running.length + waiting.length === 0) break;
      const plan = planStep({ running, waiting }, limits);
      admit(plan.admitted);
      refreshGauges();
      await pace.pass(stepCostMs(profile, plan) * deps.timeScale);
      finishStep(plan);
    }
    looping = false;
  }

  function admit(count: number): void {
    const nowMs = now();
    for (const sequence of waiting.splice(0, count)) {
      running.push(sequence);
      metrics.queueTime.observe((nowMs - sequence.arrivedAtMs) / 1000);
    }
  }

  function finishStep(plan: StepPlan<Sequence>): void {
    const nowMs = now();
    for (const { sequence, tokens } of plan.work) {
      if (sequence.over) continue;
      sequence.computedTokens += tokens;
      const known = sequence.promptTokens + sequence.generatedTokens;
      if (sequence.computedTokens === known) emitToken(sequence, nowMs);
    }
  }

  function emitToken(sequence: Sequence, nowMs: number): void {
    const output = sequence.generation.next();
    sequence.generatedTokens += 1;
    metrics.generationTokens.add(1);
    if (sequence.lastTokenAtMs === undefined) {
      metrics.promptTokens.add(sequence.promptTokens);
      metrics.timeToFirstToken.observe((nowMs - sequence.arrivedAtMs) / 1000);
    } else {
      metrics.interTokenLatency.observe((nowMs - sequence.lastTokenAtMs) / 1000);
    }
    sequence.lastTokenAtMs = nowMs;
    if (output.finish !== undefined) finish(sequence, output.finish.reason);
    sequence.onOutput(output);
  }

  function finish(sequence: Sequence, reason: 'stop' | 'length' | 'abort'): void {
    sequence.over = true;
    metrics.finished(reason);
    metrics.endToEndLatency.observe((now() - sequence.arrivedAtMs) / 1000);
  }

  function abortByServer(sequence: Sequence): void {
    if (sequence.over) return;
    finish(sequence, 'abort');
    sequence.onOutput({
      tokenIds: [],
      text: sequence.generation.flush(),
      finish: { reason: 'abort', stopReason: null },
    });
  }

  function refreshGauges(): void {
    metrics.running.set(running.length);
    metrics.waiting.set(waiting.length);
    let kvTokens = 0;
    for (const sequence of running) kvTokens += sequence.computedTokens;
    metrics.kvUsage.set(Math.min(1, kvTokens / profile.kvTokensMax));
  }

  return {
    submit({ promptIds, sampling, onOutput }) {
      const sequence: Sequence = {
        promptTokens: promptIds.length,
        generation: createGeneration({ promptIds, sampling }),
        onOutput,
        arrivedAtMs: now(),
        generatedTokens: 0,
        computedTokens: 0,
        lastTokenAtMs: undefined,
        over: false,
      };
      if (stopping.signal.aborted) {
        queueMicrotask(() => abortByServer(sequence));
      } else {
        waiting.push(sequence);
        if (!looping) void loop();
      }
      return {
        // vLLM does not count these in request_success_total.
        abort() {
          sequence.over = true;
        },
      };
    },
    counts() {
      return { running: running.length, waiting: waiting.length };
    },
    stop() {
      if (stopping.signal.aborted) return;
      stopping.abort();
      for (const sequence of [...running, ...waiting]) abortByServer(sequence);
    },
  };
}
