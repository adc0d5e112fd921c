import { encode } from '../tokenizer.ts';
import type { JsonShape } from './json-shape.ts';
import { writeJson } from './json-writer.ts';
import { drawFromHash, type PrefixHash } from './prefix-hash.ts';

/** A text that is settled before its first token: what structured output and tool calls demand. */
export type Script =
  | { readonly kind: 'json'; readonly shape: JsonShape }
  | { readonly kind: 'choice'; readonly texts: readonly string[] }
  | {
      readonly kind: 'tool_call';
      readonly name: string;
      readonly parameters: JsonShape;
      /** In the markup that the model uses of its own accord; else the arguments alone. */
      readonly markup: boolean;
    };

/** How models of the Hermes and Qwen families write a tool call. */
export const TOOL_CALL_MARKUP = {
  name: '<tool_call>\n{"name": ',
  arguments: ', "arguments": ',
  end: '}\n</tool_call>',
} as const;

/**
 * The token ids of a script, drawn from the hash of what stands before it. Its text is a function of
 * seed and prompt, but unlike free text it always begins at its beginning: as in vLLM, where the
 * grammar of a request starts at its first state, a prompt that ends in half a document is followed
 * by a whole one.
 */
export function writeScript(script: Script, hash: PrefixHash): readonly number[] {
  let draws = 0;
  return encode(scriptText(script, draw));

  function draw(below: number): number {
    draws += 1;
    return drawFromHash(hash, { purpose: draws, below });
  }
}

function scriptText(script: Script, draw: (below: number) => number): string {
  switch (script.kind) {
    case 'json':
      return writeJson(script.shape, draw);
    case 'choice':
      return script.texts[draw(script.texts.length)] ?? '';
    case 'tool_call': {
      const args = writeJson(script.parameters, draw);
      if (!script.markup) return args;
      const markup = TOOL_CALL_MARKUP;
      return `${markup.name}${JSON.stringify(script.name)}${markup.arguments}${args}${markup.end}`;
    }
    default:
      throw new Error(`no such script: ${String(script satisfies never)}`);
  }
}
