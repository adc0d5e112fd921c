/**
 * Reads the body of one streamed answer: bytes in, deltas out.
 *
 * An answer is whole only with a legal finish reason for every choice and an end of its own,
 * `[DONE]` or a clean end of the response. The last delta of a choice is held until then: so what
 * was let out of an answer that breaks is never its end, and can be carried on.
 *
 * Where the engine counts its tokens as it goes, the counts must agree with what has come before a
 * delta is let out: an event that was lost or doubled on its way breaks the answer where it was. Only
 * there one event that cannot be read is passed over, because it is missed if it held some of the
 * answer.
 */
import { finishReasonSchema } from '@qarr/router-core';
import type { FinishReason, Usage } from '@qarr/router-core';
import type { AnswerDelta } from '@qarr/job-store';
import { createParser } from 'eventsource-parser';
import { isVisible, parseChunk } from './engine-chunk.ts';
import type { EngineChunk } from './engine-chunk.ts';
import { failureOfEnding, failureOfErrorEvent, failureOfProtocol } from './engine-failure.ts';
import type { EngineFailure } from './engine-failure.ts';

/** One event of a stream; an engine's chunk is some 250 bytes, with log probabilities some KB. */
const EVENT_CHARS_MAX = 1_048_576;
/** No tokenizer has longer tokens, but for runs of white space. */
const TOKEN_CHARS_MAX = 256;
/** Whatever was asked for. */
const ANSWER_CHARS_MAX = 4_194_304;

export type AnswerEnding =
  /** A reason per choice. */
  | { kind: 'whole'; finishReasons: readonly [FinishReason, ...FinishReason[]] }
  | { kind: 'failed'; failure: EngineFailure };

/**
 * What an engine tells as it goes. `ids`: each chunk its tokens, and how many there are so far.
 * `counts`: only how many. Neither is told of several choices.
 */
export type Counting = 'ids' | 'counts' | 'none';

export interface AnswerReader {
  /** The last count that the engine gave, or null where it gives none. */
  readonly usage: Usage | null;
  /** The stop string that ended the answer, where the engine says so. */
  readonly stopString: string | undefined;
  /** Returns how the answer ended, or null while it goes on. Nothing is read after the ending. */
  read(bytes: Uint8Array): AnswerEnding | null;
  /** The response has ended cleanly. */
  end(): AnswerEnding;
}

export function createAnswerReader({
  choices: choiceCount,
  tokensMax,
  counting,
  onDelta,
  onChunk,
  isStopped,
}: {
  /** How many choices were asked for. */
  choices: number;
  /** Of each choice. */
  tokensMax: number;
  counting: Counting;
  onDelta: (delta: AnswerDelta) => void;
  /** Called for each chunk, before its delta. */
  onChunk: (chunk: { tokens: number }) => void;
  /** When true, no delta is wanted any more. */
  isStopped: () => boolean;
}): AnswerReader {
  // Not UTF-8 is not an answer: a replacement character would be a wrong text.
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const parser = createParser({
    maxBufferSize: EVENT_CHARS_MAX,
    onEvent: ({ data }) => readEvent(data),
    onError(error) {
      if (error.type !== 'max-buffer-size-exceeded') return;
      ending ??= broken(failureOfProtocol('The engine sent an event of more than 1 MB.'));
    },
  });
  const finishReasons = new Map<number, FinishReason>();
  const held: AnswerDelta[] = [];
  let usage: Usage | null = null;
  let stopString: string | undefined;
  const charsMax = Math.min(ANSWER_CHARS_MAX, choiceCount * tokensMax * TOKEN_CHARS_MAX);
  let idsSeen = 0;
  let tokensCounted = 0;
  let chars = 0;
  let lastCount = 0;
  let sawReasoning = false;
  let hasPassedOver = false;
  /** The event before could not be read. */
  let isAfterGap = false;
  let ending: AnswerEnding | null = null;

  function readEvent(data: string): void {
    if (ending !== null || isStopped()) return;
    if (data === '[DONE]') {
      ending = conclude();
      return;
    }
    const chunk = parseChunk(data);
    if (chunk.kind === 'malformed') readMalformed();
    else if (chunk.kind === 'error') ending = broken(failureOfErrorEvent(chunk));
    else readChunk(chunk);
  }

  function readMalformed(): void {
    if (hasPassedOver || counting === 'none') {
      ending = broken(failureOfProtocol('The engine sent an event that is not a chunk.'));
    }
    hasPassedOver = true;
    isAfterGap = true;
  }

  function readChunk(chunk: Extract<EngineChunk, { kind: 'chunk' }>): void {
    const problem = problemOf(chunk);
    if (problem !== null) {
      ending = broken(failureOfProtocol(problem));
      return;
    }
    onChunk({ tokens: countTokens(chunk) });
    usage = chunk.usage ?? usage;
    for (const choice of chunk.choices) {
      const { index, delta, finishReason } = choice;
      stopString ??= choice.stopString;
      if (index >= choiceCount || finishReasons.has(index) || ending !== null) continue;
      if (isStopped()) return;
      if (finishReason === null) letOut(delta);
      else readLast({ index, delta, finishReason });
    }
  }

  function problemOf(chunk: Extract<EngineChunk, { kind: 'chunk' }>): string | null {
    for (const { delta } of chunk.choices) {
      chars += countChars(delta);
      idsSeen += delta.tokenIds?.length ?? 0;
    }
    if (chars > charsMax || idsSeen > choiceCount * tokensMax) {
      return 'The engine sent more than it was asked for.';
    }
    return counting === 'none' || addsUp(chunk) ? null : 'The engine sent a part garbled.';
  }

  /** Whether its count is what it must be if nothing is missing, and nothing here twice. */
  function addsUp({ choices, usage: counted }: Extract<EngineChunk, { kind: 'chunk' }>): boolean {
    if (counted === null) return !hasPassedOver;
    const grownBy = counted.completion_tokens - lastCount;
    lastCount = counted.completion_tokens;
    sawReasoning ||= choices.some(({ delta }) => delta.reasoning !== undefined);
    if (counting === 'ids') {
      // A parser of reasoning keeps the tokens to itself that mark its beginning and end.
      if (sawReasoning && !hasPassedOver) idsSeen = counted.completion_tokens;
      return counted.completion_tokens === idsSeen;
    }
    const isText = choices.some(({ delta }) => isVisible(delta));
    // How many tokens a chunk has is not told: after a gap it must be one, or it may be two events'.
    const isMissing = isAfterGap && grownBy > (choices.length > 0 ? 1 : 0);
    isAfterGap = false;
    return !isMissing && (!isText || grownBy > 0);
  }

  /** At least so many: without ids or a count a chunk has one token if it has any text. */
  function countTokens({
    choices,
    usage: counted,
  }: Extract<EngineChunk, { kind: 'chunk' }>): number {
    const tokens = choices.reduce(
      (sum, { delta }) => sum + (delta.tokenIds?.length ?? (isVisible(delta) ? 1 : 0)),
      0,
    );
    const before = tokensCounted;
    tokensCounted = Math.max(before + tokens, counted?.completion_tokens ?? 0);
    return tokensCounted - before;
  }

  function readLast({
    index,
    delta,
    finishReason,
  }: {
    index: number;
    delta: AnswerDelta;
    finishReason: string;
  }): void {
    const legal = finishReasonSchema.safeParse(finishReason);
    if (legal.success) {
      finishReasons.set(index, legal.data);
      held.push(delta);
    } else {
      // Its text may be what an aborted engine let go of unchecked.
      ending = broken(failureOfEnding(finishReason));
    }
  }

  function letOut(delta: AnswerDelta): void {
    const hasTokens = delta.tokenIds !== undefined || delta.logprobs !== undefined;
    if (hasTokens || isVisible(delta)) onDelta(delta);
  }

  function conclude(): AnswerEnding {
    const [first, ...others] = reasonsInOrder();
    if (finishReasons.size < choiceCount || first === undefined) {
      return broken(failureOfEnding(null));
    }
    for (const delta of held.splice(0)) {
      if (!isStopped()) letOut(delta);
    }
    return { kind: 'whole', finishReasons: [first, ...others] };
  }

  function reasonsInOrder(): FinishReason[] {
    return [...finishReasons].toSorted(([a], [b]) => a - b).map(([, reason]) => reason);
  }

  function feed(decode: () => string): void {
    let text: string;
    try {
      text = decode();
    } catch {
      ending = broken(failureOfProtocol('The engine sent bytes that are not UTF-8.'));
      return;
    }
    parser.feed(text);
  }

  return {
    get usage() {
      return usage;
    },
    get stopString() {
      return stopString;
    },
    read(bytes) {
      if (ending === null) feed(() => decoder.decode(bytes, { stream: true }));
      return ending;
    },
    end() {
      // A last event may lack its blank line; if it was cut, it is malformed.
      if (ending === null) feed(() => `${decoder.decode()}\n\n`);
      return ending ?? conclude();
    },
  };
}

function broken(failure: EngineFailure): AnswerEnding {
  return { kind: 'failed', failure };
}

function countChars({ text, reasoning = '', toolCalls = [] }: AnswerDelta): number {
  const args = toolCalls.reduce((sum, call) => sum + (call.function?.arguments?.length ?? 0), 0);
  return text.length + reasoning.length + args;
}
