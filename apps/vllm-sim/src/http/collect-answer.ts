import type { ServerResponse } from 'node:http';
import type { Engine } from '../engine/engine.ts';
import type { Output } from '../engine/generation.ts';
import type { Choice } from '../protocol/answer-shape.ts';
import { usageOf } from '../protocol/usage.ts';
import type { Answer } from './answer.ts';

/** The body of an answer that is not streamed, or `gone` if the client left before it was complete. */
export async function collectAnswer(options: {
  answer: Answer;
  engine: Engine;
  response: ServerResponse;
}): Promise<{ body: object } | 'gone'> {
  const { answer, response } = options;
  const choices = await new Promise<readonly Choice[] | 'gone'>((resolve) => {
    const collected: Choice[] = [];
    const tickets = answer.sequences.map((sequence, index) =>
      options.engine.submit({
        ...sequence,
        onOutput: gather(index, sequence.promptIds, (choice) => {
          collected.push(choice);
          if (collected.length === answer.sequences.length) resolve(collected);
        }),
      }),
    );
    response.once('close', () => {
      for (const ticket of tickets) ticket.abort();
      resolve('gone');
    });
  });
  if (choices === 'gone') return choices;
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
  let text = '';
  return (output) => {
    tokenIds.push(...output.tokenIds);
    text += output.text;
    if (output.finish === undefined) return;
    onFinished({ index, promptIds, tokenIds, text, finish: output.finish });
  };
}
