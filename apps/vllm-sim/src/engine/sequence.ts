import type { Generation, Output, Sampling } from './generation.ts';
import { createPrefixHashes } from './prefix-hashes.ts';
import type { Schedulable } from './scheduler.ts';

/** What is asked of the engine. */
export type Submission = {
  readonly promptIds: readonly number[];
  readonly sampling: Sampling;
  /** Called once per step that yielded a token; the last call carries `finish`. */
  readonly onOutput: (output: Output) => void;
  /** Lower goes first. Of no effect under the policy fcfs, as in vLLM V1. */
  readonly priority?: number | undefined;
  /** Only sequences with the same salt share cached prefixes. */
  readonly cacheSalt?: string | undefined;
  /** The same object for all choices of one request; only metrics look at it. */
  readonly request?: Choices | undefined;
};

/** A request as its choices see it: how many sequences it is, vLLM's `n`. */
export type Choices = { readonly choices: number };

/** One sequence in the engine. */
export type Sequence = Schedulable & {
  readonly promptIds: readonly number[];
  readonly sampling: Sampling;
  readonly request: Choices;
  /** Made with the first token: until then a sequence costs next to nothing. */
  generation: Generation | undefined;
  /** Receives every output, the last one with `finish`. Not called after an abort by the client. */
  readonly onOutput: (output: Output) => void;
  readonly arrivedAtMs: number;
  /** When it first left the queue, had its first token, and its last one so far. */
  scheduledAtMs: number | undefined;
  firstTokenAtMs: number | undefined;
  lastTokenAtMs: number | undefined;
  /** Of the prompt, when it was first admitted. */
  cachedTokens: number;
};

export function createSequence(
  submission: Submission,
  options: { arrivedAtMs: number; prefixCaching: boolean },
): Sequence {
  const { promptIds, sampling, onOutput, priority = 0, cacheSalt: salt = '' } = submission;
  return {
    promptIds,
    promptTokens: promptIds.length,
    sampling,
    onOutput,
    priority,
    rank: 0,
    request: submission.request ?? { choices: 1 },
    hashes: options.prefixCaching ? createPrefixHashes({ promptIds, salt }) : undefined,
    generation: undefined,
    blocks: [],
    arrivedAtMs: options.arrivedAtMs,
    scheduledAtMs: undefined,
    firstTokenAtMs: undefined,
    lastTokenAtMs: undefined,
    cachedTokens: 0,
    computedTokens: 0,
    generatedTokens: 0,
    preemptions: 0,
    over: false,
  };
}
