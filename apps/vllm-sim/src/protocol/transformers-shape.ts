import type { Finish } from '../engine/generation.ts';
import type { AnswerHead, AnswerShape, Choice } from './answer-shape.ts';
import type { Usage } from './usage.ts';

/**
 * The answers of `transformers serve` 5.x (`src/transformers/cli/serving`): one choice, no `[DONE]`,
 * usage on the chunk that ends the text, and nothing that is null is printed.
 */
export function createTransformersShape(options: {
  head: AnswerHead;
  route: 'chat' | 'completion';
}): AnswerShape {
  const { head, route } = options;

  function chunk(choice: object, usage: object): string {
    const end = route === 'chat' ? { system_fingerprint: '' } : {};
    const object = route === 'chat' ? 'chat.completion.chunk' : 'text_completion';
    const { id, created, model } = head;
    return JSON.stringify({ id, choices: [choice], created, model, object, ...end, ...usage });
  }

  function textChunk(text: string): string {
    return chunk(
      route === 'chat' ? { delta: { content: text }, index: 0 } : { index: 0, text },
      {},
    );
  }

  function endChunk(finish: Finish, usage: Usage): string {
    const reason = finishReason(finish);
    return chunk(
      route === 'chat'
        ? { delta: {}, finish_reason: reason, index: 0 }
        : { finish_reason: reason, index: 0, text: '' },
      { usage: usageInOrder(usage) },
    );
  }

  return {
    opening() {
      return route === 'chat' ? [chunk({ delta: { role: 'assistant' }, index: 0 }, {})] : [];
    },
    chunks({ output, usage }) {
      const texts = output.text === '' ? [] : [textChunk(output.text)];
      return output.finish === undefined ? texts : [...texts, endChunk(output.finish, usage)];
    },
    closing: () => [],
    body(choices, usage) {
      const { id, created, model } = head;
      const object = route === 'chat' ? 'chat.completion' : 'text_completion';
      const bodies = choices.map(bodyChoice);
      return { id, choices: bodies, created, model, object, usage: usageInOrder(usage) };
    },
  };

  function bodyChoice({ text, finish }: Choice): object {
    const reason = finishReason(finish);
    return route === 'chat'
      ? { finish_reason: reason, index: 0, message: { content: text, role: 'assistant' } }
      : { finish_reason: reason, index: 0, text };
  }
}

/** It knows two: whatever did not reach the limit has stopped. */
function finishReason(finish: Finish): string {
  return finish.reason === 'length' ? 'length' : 'stop';
}

function usageInOrder(usage: Usage): object {
  return {
    completion_tokens: usage.completion_tokens,
    prompt_tokens: usage.prompt_tokens,
    total_tokens: usage.total_tokens,
  };
}
