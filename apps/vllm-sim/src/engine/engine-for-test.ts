import { createEngineMetrics, type EngineMetrics } from '../metrics/engine-metrics.ts';
import { findProfile, type Profile } from '../profiles.ts';
import type { Clock } from './clock.ts';
import { createEngine, type Engine, type EngineOptions } from './engine.ts';
import type { Finish, Sampling } from './generation.ts';
import { createSimulatedClock } from './simulated-clock-for-test.ts';

/** What came out of one sequence, and when. */
export type Answer = {
  readonly tokenIds: number[];
  text: string;
  /** Of each token, in simulated milliseconds. */
  readonly timesMs: number[];
  finish: Finish | undefined;
};

type Question = {
  readonly promptIds: readonly number[];
  readonly tokens?: number;
  readonly sampling?: Partial<Sampling>;
  readonly priority?: number;
  readonly cacheSalt?: string;
  readonly request?: { readonly choices: number };
};

export type TestEngine = Engine & {
  readonly clock: Clock;
  readonly metrics: EngineMetrics;
  /** Submits a sequence that may end by its length only, unless its sampling says otherwise. */
  ask(question: Question): { answer: Answer; abort: () => void; ended: Promise<Answer> };
  /** Resolves when so much simulated time has passed. */
  pass(durationMs: number): Promise<void>;
};

/** An engine on a simulated clock: an A100 without noise, unless told otherwise. */
export function startEngine(options: Partial<EngineOptions> = {}): TestEngine {
  const clock = createSimulatedClock();
  const metrics = createEngineMetrics({ modelLenMax: 100_000, startedAtMs: 0 });
  const engine = createEngine({
    profile: profileNamed('a100-bf16'),
    sequencesMax: 256,
    batchedTokensMax: 2048,
    schedulingPolicy: 'fcfs',
    kvBlocks: 10_000,
    prefixCaching: true,
    queuedRequestsMax: undefined,
    queuedTokensMax: undefined,
    timeScale: 1,
    jitter: 0,
    seed: 0,
    ...options,
    clock,
    metrics,
  });

  function ask(question: Question) {
    const answer: Answer = { tokenIds: [], text: '', timesMs: [], finish: undefined };
    const { promise: ended, resolve } = Promise.withResolvers<Answer>();
    const { abort } = engine.submit({
      ...question,
      sampling: { ...TO_LENGTH, tokensMax: question.tokens ?? 10, ...question.sampling },
      onOutput(output) {
        if (answer.finish !== undefined) throw new Error('there was an output after the last');
        answer.tokenIds.push(...output.tokenIds);
        answer.timesMs.push(...output.tokenIds.map(() => clock.now()));
        answer.text += output.text;
        answer.finish = output.finish;
        if (output.finish !== undefined) resolve(answer);
      },
    });
    return { answer, abort, ended };
  }

  return {
    ...engine,
    clock,
    metrics,
    ask,
    pass: (durationMs) => clock.sleep(durationMs, new AbortController().signal),
  };
}

const TO_LENGTH: Omit<Sampling, 'tokensMax'> = {
  tokensMin: 0,
  stops: [],
  stopTokenIds: [],
  includeStop: false,
  ignoreEndOfText: true,
  seeds: [0, 0, 0],
};

export function profileNamed(name: string): Profile {
  const found = findProfile(name);
  if (found === undefined) throw new Error(`no profile ${name}`);
  return found;
}

/** A prompt of its own: no two with different `topic` share a block. */
export function promptOf(tokens: number, topic = 0): number[] {
  return Array.from({ length: tokens }, (_, at) => 4096 + ((topic * 7919 + at * 31) % 50_000));
}
