/**
 * Holds an answer's text against what the engine must have said. A token that is lost, doubled, torn,
 * swapped or of another answer is other text than expected, wherever a server cuts it.
 */
import { TOKEN_CHARS, tokenText } from '../upstream/answer-text.ts';

export interface AnswerCheck {
  /** How many tokens this completes, or null where it is not what must come next. */
  take(text: string): number | null;
  readonly isComplete: boolean;
}

export function createAnswerCheck({ seed, tokens }: { seed: number; tokens: number }): AnswerCheck {
  const chars = tokens * TOKEN_CHARS;
  let taken = 0;
  /** Of a token of which a part was taken. */
  let rest = '';

  return {
    take(text) {
      const first = Math.ceil(taken / TOKEN_CHARS);
      let expected = rest;
      for (let index = first; expected.length < text.length && index < tokens; index += 1) {
        expected += tokenText(seed, index);
      }
      if (!expected.startsWith(text)) return null;
      rest = expected.slice(text.length);
      const before = Math.trunc(taken / TOKEN_CHARS);
      taken += text.length;
      return Math.trunc(taken / TOKEN_CHARS) - before;
    },
    get isComplete() {
      return taken === chars;
    },
  };
}
