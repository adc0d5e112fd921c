import { decode, END_OF_TEXT_ID } from '../tokenizer.ts';
import { CONTINUATIONS, SENTENCES, type Sentence } from './grammar.ts';
import { drawFromHash, extendPrefixHash, startPrefixHash } from './prefix-hash.ts';

/**
 * Where the text stands. Each place is known from the tokens read so far and nothing else.
 *
 *   boundary  between two sentences; a sentence, a paragraph break or the end of text comes next
 *   sentence  inside one; its last slot leads back to a boundary
 */
type Place =
  | { at: 'boundary'; bare: boolean; paragraphStart: boolean }
  | { at: 'sentence'; sentence: Sentence; slot: number; bare: boolean };

/** The token ids of the word to come, and where the text stands when it is complete. */
type Word = { ids: readonly number[]; after: Place };

const PURPOSE = { sentence: 0, word: 1, paragraph: 2, end: 3 } as const;
const PARAGRAPH_BREAK_IDS = [0x0a, 0x0a];
/** One boundary in this many starts a new paragraph. */
const SENTENCES_PER_PARAGRAPH = 6;

/**
 * The model: a deterministic function from seed and token prefix to the next token.
 *
 * It predicts the next token at every position, those of the prompt too. A token that equals the
 * prediction carries the sentence on, any other starts afresh from what it is. So whoever sends a
 * prompt and the ids already generated gets exactly the rest of the uninterrupted text, and the
 * writer knows from the ids alone how much of them it wrote itself. Constant time per token.
 */
export type Writer = {
  /** Takes one token into the prefix. */
  read(tokenId: number): void;
  /** The next token, or the end of text where the text wants to end and `mayEnd` allows it. */
  next(options: { mayEnd: boolean }): number;
};

/** @param options.seeds what the text depends on beside the prefix: the server's seed, the request's, the choice */
export function createWriter(options: { seeds: readonly number[] }): Writer {
  let hash = startPrefixHash(options.seeds);
  let place: Place = { at: 'boundary', bare: true, paragraphStart: true };
  let word: Word | undefined;
  let written = 0;
  /** Tokens read in a row that the writer would have written itself. */
  let ownTokens = 0;

  function currentWord(): Word {
    word ??= chooseWord(place);
    return word;
  }

  function predicted(): number {
    return currentWord().ids[written] ?? END_OF_TEXT_ID;
  }

  function chooseWord(from: Place): Word {
    if (from.at === 'sentence') return wordOf(from);
    const draw = { purpose: PURPOSE.paragraph, below: SENTENCES_PER_PARAGRAPH };
    if (!from.paragraphStart && drawFromHash(hash, draw) === 0) {
      return {
        ids: PARAGRAPH_BREAK_IDS,
        after: { at: 'boundary', bare: true, paragraphStart: true },
      };
    }
    const sentence = pick(SENTENCES, PURPOSE.sentence);
    return wordOf({ at: 'sentence', sentence, slot: 0, bare: from.bare });
  }

  function wordOf(from: Extract<Place, { at: 'sentence' }>): Word {
    const slot = from.sentence[from.slot];
    if (slot === undefined) throw new Error('a sentence has no slot after its last');
    const choice = pick(slot.choices, PURPOSE.word);
    const isLast = from.slot + 1 === from.sentence.length;
    return {
      ids: from.bare ? choice.bare : choice.spaced,
      after: isLast
        ? { at: 'boundary', bare: false, paragraphStart: false }
        : { at: 'sentence', sentence: from.sentence, slot: from.slot + 1, bare: false },
    };
  }

  function pick<Choice>(choices: readonly Choice[], purpose: number): Choice {
    const choice = choices[drawFromHash(hash, { purpose, below: choices.length })];
    if (choice === undefined) throw new Error('a choice needs at least one possibility');
    return choice;
  }

  function wantsToEnd(): boolean {
    if (place.at !== 'boundary' || place.paragraphStart || written > 0) return false;
    return drawFromHash(hash, { purpose: PURPOSE.end, below: 100 }) < endPercent(ownTokens);
  }

  function afterOwnToken(): void {
    ownTokens += 1;
    written += 1;
    const { ids, after } = currentWord();
    if (written < ids.length) return;
    place = after;
    startWord();
  }

  function afterForeignToken(tokenId: number): void {
    ownTokens = 0;
    place = placeAfter(decode([tokenId]));
    startWord();
  }

  function placeAfter(text: string): Place {
    if (/[\n>]$/.test(text)) return { at: 'boundary', bare: true, paragraphStart: true };
    if (/[.!?]$/.test(text)) return { at: 'boundary', bare: false, paragraphStart: false };
    const bare = /\s$/.test(text);
    return { at: 'sentence', sentence: pick(CONTINUATIONS, PURPOSE.sentence), slot: 0, bare };
  }

  function startWord(): void {
    word = undefined;
    written = 0;
  }

  return {
    read(tokenId) {
      const own = tokenId === predicted();
      hash = extendPrefixHash(hash, tokenId);
      if (own) afterOwnToken();
      else afterForeignToken(tokenId);
    },
    next({ mayEnd }) {
      return mayEnd && wantsToEnd() ? END_OF_TEXT_ID : predicted();
    },
  };
}

/**
 * How likely the text ends at a sentence boundary, in percent, after so many own tokens. A sentence
 * has about 14 tokens, so three answers in four have 40 to 200 tokens, half of them under 100.
 */
function endPercent(ownTokens: number): number {
  if (ownTokens === 0) return 0;
  if (ownTokens < 35) return 3;
  return ownTokens < 190 ? 19 : 60;
}
