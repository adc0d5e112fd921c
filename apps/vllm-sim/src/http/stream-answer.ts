import type { ServerResponse } from 'node:http';
import type { Engine } from '../engine/engine.ts';
import type { Finish, Output } from '../engine/generation.ts';
import { usageOf } from '../protocol/usage.ts';
import type { Answer } from './answer.ts';

/**
 * Streams an answer as server-sent events. The headers leave at once; the first event comes with
 * the first token. While the reader is slow, the tokens of each choice wait merged into one output,
 * as in vLLM's RequestOutputCollector, so a stream never holds more than its own answer.
 *
 * @param options.onClientGone called when the connection closed before the answer was complete
 */
export function streamAnswer(options: {
  answer: Answer;
  engine: Engine;
  response: ServerResponse;
  onClientGone: () => void;
}): void {
  const { answer, response } = options;
  const { sequences, shape } = answer;
  const merged = new Map<number, MergedOutput>();
  const generated = sequences.map(() => 0);
  let opened = false;
  let unfinished = sequences.length;

  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
  response.flushHeaders();

  const tickets = sequences.map((sequence, index) =>
    options.engine.submit({
      ...sequence,
      onOutput: (output) => {
        if (response.destroyed) return;
        const earlier = merged.get(index);
        const slow = earlier !== undefined || response.writableNeedDrain;
        if (slow) merged.set(index, mergeOutputs(earlier, output));
        else deliver(index, output);
      },
    }),
  );
  response.on('drain', () => {
    for (const [index, output] of merged) {
      if (response.writableNeedDrain) break;
      merged.delete(index);
      deliver(index, output);
    }
  });
  response.on('close', () => {
    if (response.writableFinished) return;
    for (const ticket of tickets) ticket.abort();
    options.onClientGone();
  });

  function deliver(index: number, output: Output): void {
    if (!opened) shape.opening().forEach(send);
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
      send(shape.chunk({ index, output, first, usage }));
    }
    if (output.finish === undefined) return;
    unfinished -= 1;
    if (unfinished === 0) finish();
  }

  function finish(): void {
    if (answer.includeUsage) {
      const completionTokens = generated.reduce((sum, tokens) => sum + tokens, 0);
      send(shape.usageChunk(usageOf({ promptTokens: answer.promptTokens, completionTokens })));
    }
    send('[DONE]');
    response.end();
  }

  function send(data: string): void {
    response.write(`data: ${data}\n\n`);
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
