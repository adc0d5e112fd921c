import type { Engine } from '../engine/engine.ts';
import type { Finish, Output } from '../engine/generation.ts';
import { usageOf } from '../protocol/usage.ts';
import type { Answer } from './answer.ts';
import type { EventStream } from './event-stream.ts';

/**
 * Streams an answer as server-sent events. The headers leave at once; the first event comes with
 * the first token. While the reader is slow, the tokens of each choice wait merged into one output,
 * as in vLLM's RequestOutputCollector, so a stream never holds more than its own answer. A client
 * that leaves frees its slots.
 */
export function streamAnswer(options: {
  answer: Answer;
  engine: Engine;
  stream: EventStream;
}): void {
  const { answer, stream } = options;
  const { sequences, shape } = answer;
  const merged = new Map<number, MergedOutput>();
  const generated = sequences.map(() => 0);
  let opened = false;
  let unfinished = sequences.length;

  stream.open();

  const tickets = sequences.map((sequence, index) =>
    options.engine.submit({
      ...sequence,
      onOutput: (output) => {
        if (stream.isGone) return;
        const earlier = merged.get(index);
        const slow = earlier !== undefined || stream.isSlow;
        if (slow) merged.set(index, mergeOutputs(earlier, output));
        else deliver(index, output);
      },
    }),
  );
  stream.onDrain(() => {
    for (const [index, output] of merged) {
      if (stream.isSlow) break;
      merged.delete(index);
      deliver(index, output);
    }
  });
  stream.onGone(() => {
    for (const ticket of tickets) ticket.abort();
  });

  function deliver(index: number, output: Output): void {
    if (!opened) shape.opening().forEach(stream.send);
    opened = true;
    const first = generated[index] === 0;
    const completionTokens = (generated[index] ?? 0) + output.tokenIds.length;
    generated[index] = completionTokens;
    // Aborted before its first token: vLLM takes this for a prefill step and sends no chunk.
    if (completionTokens > 0) {
      const promptTokens = sequences[index]?.promptIds.length ?? 0;
      const usage = answer.continuousUsage
        ? usageOf({ promptTokens, completionTokens })
        : undefined;
      stream.send(shape.chunk({ index, output, first, usage }));
    }
    if (output.finish === undefined) return;
    unfinished -= 1;
    if (unfinished === 0) finish();
  }

  function finish(): void {
    if (answer.includeUsage) {
      const completionTokens = generated.reduce((sum, tokens) => sum + tokens, 0);
      stream.send(
        shape.usageChunk(usageOf({ promptTokens: answer.promptTokens, completionTokens })),
      );
    }
    stream.send('[DONE]');
    stream.end();
  }
}

type MergedOutput = { tokenIds: number[]; text: string; finish?: Finish };

/** Adds to `earlier` in place: a slow reader's answer is merged token by token. */
function mergeOutputs(earlier: MergedOutput | undefined, later: Output): MergedOutput {
  if (earlier === undefined) return { ...later, tokenIds: [...later.tokenIds] };
  earlier.tokenIds.push(...later.tokenIds);
  earlier.text += later.text;
  if (later.finish !== undefined) earlier.finish = later.finish;
  return earlier;
}
