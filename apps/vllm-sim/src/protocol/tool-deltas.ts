import { randomUUID } from 'node:crypto';
import type { Persona } from '../personas.ts';
import {
  createArgumentsReader,
  createMarkupReader,
  type ToolCallPiece,
  type ToolCallReader,
} from './tool-call-reader.ts';
import type { ToolCall } from './tools.ts';

/** The deltas of a streamed tool call: first its id and name, then its arguments bit by bit. */
export type ToolDeltas = {
  push(text: string): readonly object[];
  /** A name has come: this is a tool call, even if it is cut off later. */
  readonly called: boolean;
};

export function createToolDeltas(
  toolCall: ToolCall,
  idDigits: Persona['toolCallIdDigits'],
): ToolDeltas {
  const reader = readerOf(toolCall);
  let called = false;

  function deltaOf(piece: ToolCallPiece): object {
    if ('arguments' in piece) {
      return { tool_calls: [{ index: 0, function: { arguments: piece.arguments } }] };
    }
    called = true;
    const begun = { name: piece.name, arguments: '' };
    return {
      tool_calls: [{ id: toolCallId(idDigits), type: 'function', index: 0, function: begun }],
    };
  }

  return {
    push: (text) => reader.push(text).map(deltaOf),
    get called() {
      return called;
    },
  };
}

/** The tool call of a whole text; undefined where it was cut before it made sense. */
export function wholeToolCall(
  toolCall: ToolCall,
  options: { text: string; idDigits: Persona['toolCallIdDigits'] },
): object | undefined {
  const pieces = readerOf(toolCall).push(options.text);
  const args = pieces.map((piece) => ('arguments' in piece ? piece.arguments : '')).join('');
  const named = pieces.find((piece) => 'name' in piece);
  if (named === undefined) return undefined;
  // A parser of markup takes whole calls only; a named call is whatever was written.
  if (toolCall.asked !== 'named' && !isJson(args)) return undefined;
  return {
    id: toolCallId(options.idDigits),
    type: 'function',
    function: { name: named.name, arguments: args },
  };
}

function readerOf({ script, asked }: ToolCall): ToolCallReader {
  return asked === 'named' ? createArgumentsReader(script.name) : createMarkupReader();
}

function toolCallId(digits: number): string {
  return `chatcmpl-tool-${randomUUID().replaceAll('-', '').slice(0, digits)}`;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    // Cut off by a limit or a stop string.
    return false;
  }
}
