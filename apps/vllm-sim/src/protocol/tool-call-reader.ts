import { TOOL_CALL_MARKUP } from '../text/script.ts';

/** A piece of a tool call: its name, which comes first and once, or more of its arguments. */
export type ToolCallPiece = { readonly name: string } | { readonly arguments: string };

/** Finds a tool call in the text that a model writes for it, as the text arrives. */
export type ToolCallReader = {
  push(text: string): readonly ToolCallPiece[];
};

/**
 * Reads the markup of Hermes and Qwen models: name, then arguments, which end where their outermost
 * bracket closes. The markup itself belongs to neither and disappears.
 */
export function createMarkupReader(): ToolCallReader {
  const markup = TOOL_CALL_MARKUP;
  let unread = '';
  let place: 'before_arguments' | 'arguments' | 'after' = 'before_arguments';
  const brackets = createBracketCounter();

  function push(text: string): readonly ToolCallPiece[] {
    unread += text;
    const pieces: ToolCallPiece[] = [];
    if (place === 'before_arguments') {
      const at = unread.indexOf(markup.arguments);
      if (at === -1) return pieces;
      const name: unknown = JSON.parse(unread.slice(markup.name.length, at));
      pieces.push({ name: String(name) });
      unread = unread.slice(at + markup.arguments.length);
      place = 'arguments';
    }
    if (place === 'arguments' && unread !== '') {
      const end = brackets.endIn(unread);
      pieces.push({ arguments: unread.slice(0, end) });
      if (end < unread.length || brackets.isClosed()) place = 'after';
    }
    unread = '';
    return pieces;
  }

  return { push };
}

/** Reads the text of a call that was asked for by name: all of it is arguments. */
export function createArgumentsReader(name: string): ToolCallReader {
  let begun = false;
  return {
    push(text) {
      const opening = begun ? [] : [{ name }];
      begun = true;
      return text === '' ? opening : [...opening, { arguments: text }];
    },
  };
}

/** Follows a JSON value until its outermost bracket closes. */
function createBracketCounter(): { endIn(text: string): number; isClosed(): boolean } {
  let depth = 0;
  let begun = false;
  let quoted = false;
  let escaped = false;

  function read(character: string): void {
    if (escaped) escaped = false;
    else if (quoted && character === '\\') escaped = true;
    else if (character === '"') quoted = !quoted;
    else if (!quoted && '{['.includes(character)) depth += 1;
    else if (!quoted && '}]'.includes(character)) depth -= 1;
    begun ||= depth > 0;
  }

  return {
    /** How much of the text belongs to the value. */
    endIn(text) {
      let at = 0;
      while (at < text.length && !(begun && depth === 0)) {
        read(text.charAt(at));
        at += 1;
      }
      return at;
    },
    isClosed: () => begun && depth === 0,
  };
}
