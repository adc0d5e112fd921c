import type { ServerResponse } from 'node:http';
import type { Engine } from '../engine/engine.ts';
import type { Output } from '../engine/generation.ts';
import type { Choice } from '../protocol/answer-shape.ts';
import { usageOf } from '../protocol/usage.ts';
import type { TokenLogprobs } from '../text/token-logprobs.ts';
import type { Answer } from './answer.ts';

/**
 * The body of an answer that is not streamed; `gone` if the client left before it was complete, and
 * `failed` if the engine gave it up.
 */
export async function collectAnswer(options: {
  answer: Answer;
  engine: Engine;
  response: ServerResponse;
}): Promise<{ body: object } | 'gone' | 'failed'> {
  const { answer, response } = options;
  const choices = await new Promise<readonly Choice[] | 'gone' | 'failed'>((resolve) => {
    const collected: Choice[] = [];
    const tickets = answer.sequences.map((sequence, index) =>
      options.engine.submit({
        ...sequence,
        onOutput: gather(index, sequence.promptIds, (choice) => {
          collected.push(choice);
          if (choice.finish.reason === 'error') giveUp('failed');
          else if (collected.length === answer.sequences.length) resolve(collected);
        }),
      }),
    );
    response.once('close', () => giveUp('gone'));

    function giveUp(how: 'gone' | 'failed'): void {
      for (const ticket of tickets) ticket.abort();
      resolve(how);
    }
  });
  if (typeof choices === 'string') return choices;
  const completionTokens = choices.reduce((sum, choice) => sum + choice.tokenIds.length, 0);
  const usage = usageOf({ promptTokens: answer.promptTokens, completionTokens });
  const ordered = choices.toSorted((a, b) => a.index - b.index);
  return { body: answer.shape.body(ordered, usage) };
}

function gather(
  index: number,
  promptIds: readonly number[],
  onFinished: (choice: Choice) => void,
): (output: Output) => void {
  const tokenIds: number[] = [];
  const logprobs: TokenLogprobs[] = [];
  let text = '';
  return (output) => {
    tokenIds.push(...output.tokenIds);
    logprobs.push(...(output.logprobs ?? []));
    text += output.text;
    if (output.finish === undefined) return;
    onFinished({ index, promptIds, tokenIds, text, logprobs, finish: output.finish });
  };
}
