import type { Engine } from '../engine/engine.ts';
import type { Finish, Output } from '../engine/generation.ts';
import type { Persona } from '../personas.ts';
import { DONE } from '../protocol/answer-shape.ts';
import { errorEvent } from '../protocol/error-body.ts';
import { engineFailed, type RequestError } from '../protocol/request-error.ts';
import { usageOf } from '../protocol/usage.ts';
import type { TokenLogprobs } from '../text/token-logprobs.ts';
import type { Answer } from './answer.ts';
import type { EventStream } from './event-stream.ts';

/**
 * Streams an answer as server-sent events. The headers leave at once; the first event comes with
 * the first token. While the reader is slow, the tokens of each choice wait merged into one output,
 * as in vLLM's RequestOutputCollector, so a stream never holds more than its own answer. A client
 * that leaves frees its slots.
 *
 * @param options.cut breaks the connection off, for a server that dies with its engine
 */
export function streamAnswer(options: {
  answer: Answer;
  engine: Engine;
  persona: Persona;
  stream: EventStream;
  cut: () => void;
}): void {
  const { answer, persona, stream } = options;
  const { sequences, shape } = answer;
  const merged = new Map<number, MergedOutput>();
  const generated = sequences.map(() => 0);
  let opened = false;
  let unfinished = sequences.length;
  let ended = false;

  stream.open();
  if (answer.refusal !== undefined) {
    endWithError(answer.refusal);
    return;
  }

  const tickets = sequences.map((sequence, index) =>
    options.engine.submit({
      ...sequence,
      onOutput: (output) => {
        if (stream.isGone || ended) return;
        const earlier = merged.get(index);
        const slow = earlier !== undefined || stream.isSlow;
        if (slow) merged.set(index, mergeOutputs(earlier, output));
        else deliver(index, output);
      },
    }),
  );
  stream.onDrain(() => {
    for (const [index, output] of merged) {
      if (stream.isSlow || ended) break;
      merged.delete(index);
      deliver(index, output);
    }
  });
  stream.onGone(() => {
    abortAll();
  });

  function deliver(index: number, output: Output): void {
    if (output.finish?.reason === 'error') {
      fail();
      return;
    }
    if (!opened) shape.opening().forEach(stream.send);
    opened = true;
    const first = generated[index] === 0;
    const completionTokens = (generated[index] ?? 0) + output.tokenIds.length;
    generated[index] = completionTokens;
    // Aborted before its first token: vLLM takes this for a prefill step and sends no chunk.
    if (completionTokens > 0) {
      const promptTokens = sequences[index]?.promptIds.length ?? 0;
      const usage = usageOf({ promptTokens, completionTokens });
      shape.chunks({ index, output, first, usage }).forEach(stream.send);
    }
    if (output.finish === undefined) return;
    unfinished -= 1;
    if (unfinished === 0) finish();
  }

  function finish(): void {
    const completionTokens = generated.reduce((sum, tokens) => sum + tokens, 0);
    const usage = usageOf({ promptTokens: answer.promptTokens, completionTokens });
    shape.closing(usage).forEach(stream.send);
    end();
  }

  function fail(): void {
    abortAll();
    if (persona.engineFailure === 'event') {
      endWithError(engineFailed());
      return;
    }
    ended = true;
    options.cut();
  }

  function endWithError(error: RequestError): void {
    stream.send(errorEvent(error, persona.errors));
    if (persona.family === 'vllm') stream.send(DONE);
    end();
  }

  function end(): void {
    ended = true;
    stream.end();
  }

  function abortAll(): void {
    for (const ticket of tickets) ticket.abort();
  }
}

type MergedOutput = {
  tokenIds: number[];
  text: string;
  logprobs: TokenLogprobs[];
  finish?: Finish;
};

/** Adds to `earlier` in place: a slow reader's answer is merged token by token. */
function mergeOutputs(earlier: MergedOutput | undefined, later: Output): MergedOutput {
  const { tokenIds, text, logprobs = [], ...rest } = later;
  if (earlier === undefined)
    return { tokenIds: [...tokenIds], text, logprobs: [...logprobs], ...rest };
  earlier.tokenIds.push(...tokenIds);
  earlier.logprobs.push(...logprobs);
  earlier.text += text;
  if (later.finish !== undefined) earlier.finish = later.finish;
  return earlier;
}
