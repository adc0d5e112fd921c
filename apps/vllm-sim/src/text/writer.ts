import { END_OF_TEXT_ID, tokenBytes } from '../tokenizer.ts';
import { CONTINUATIONS, SENTENCES, type Sentence } from './grammar.ts';
import { createPiece, type Piece, tokenAt } from './piece.ts';
import { drawFromHash, extendPrefixHash, type PrefixHash, startPrefixHash } from './prefix-hash.ts';

/**
 * Where the text stands. Each place is known from the bytes read so far and nothing else.
 *
 *   boundary     between two sentences; a sentence, a paragraph break or the end of text comes next
 *   sentence     inside one; its last slot leads back to a boundary
 *   interrupted  behind something that the writer did not write; it finds a way to go on from there
 */
type Place =
  | { at: 'boundary'; bare: boolean; paragraphStart: boolean }
  | { at: 'sentence'; sentence: Sentence; slot: number; bare: boolean }
  | { at: 'interrupted'; bare: boolean };

/** What is to come next, and where the text stands when it is complete. */
type Word = { piece: Piece; after: Place };

const PURPOSE = { sentence: 0, word: 1, paragraph: 2, end: 3 } as const;
const PARAGRAPH_BREAK = createPiece('\n\n');
/** One boundary in this many starts a new paragraph. */
const SENTENCES_PER_PARAGRAPH = 6;

/**
 * The model: a deterministic function from seed and prefix to the next token.
 *
 * It predicts the next byte at every position, those of the prompt too. A byte that equals the
 * prediction carries the sentence on, any other starts afresh from what it is. So whoever sends a
 * prompt and what was already generated gets exactly the rest of the uninterrupted text, and the
 * writer knows from the prefix alone how much of it it wrote itself.
 *
 * The prefix counts as bytes, not as tokens: a partial answer that is sent back as text goes on the
 * same way, however it is tokenized and wherever it was cut. Constant time per byte.
 */
export type Writer = {
  /** Takes one token into the prefix. */
  read(tokenId: number): void;
  /** The next token, or the end of text where the text wants to end and `mayEnd` allows it. */
  next(options: { mayEnd: boolean }): number;
  /** The hash of everything read, for other draws that depend on the prefix. */
  prefixHash(): PrefixHash;
};

/** @param options.seeds what the text depends on beside the prefix: the server's seed, the request's, the choice */
export function createWriter(options: { seeds: readonly number[] }): Writer {
  let hash = startPrefixHash(options.seeds);
  let place: Place = { at: 'boundary', bare: true, paragraphStart: true };
  let word: Word | undefined;
  let written = 0;
  /** Bytes read in a row that the writer would have written itself. */
  let ownBytes = 0;

  function readByte(byte: number): void {
    const own = couldBe(byte) && byte === currentWord().piece.bytes[written];
    hash = extendPrefixHash(hash, byte);
    if (own) afterOwnByte();
    else afterForeignByte(byte);
  }

  /** What `readByte` would do with each byte of the predicted token, without spelling it out. */
  function readOwnToken({ bytes, idAt }: Piece): void {
    do {
      hash = extendPrefixHash(hash, bytes[written] ?? 0);
      afterOwnByte();
    } while (written > 0 && idAt[written] === undefined);
  }

  /** Spares most bytes of a long prompt a look at the grammar. */
  function couldBe(byte: number): boolean {
    if (place.at !== 'interrupted' || word !== undefined) return true;
    return place.bare ? BARE_CONTINUATION_STARTS.has(byte) : byte === SPACE;
  }

  function currentWord(): Word {
    word ??= chooseWord(place);
    return word;
  }

  function chooseWord(from: Place): Word {
    if (from.at === 'sentence') return wordOf(from);
    if (from.at === 'interrupted') {
      const sentence = pick(CONTINUATIONS, PURPOSE.sentence);
      return wordOf({ at: 'sentence', sentence, slot: 0, bare: from.bare });
    }
    const draw = { purpose: PURPOSE.paragraph, below: SENTENCES_PER_PARAGRAPH };
    if (!from.paragraphStart && drawFromHash(hash, draw) === 0) {
      return {
        piece: PARAGRAPH_BREAK,
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
      piece: from.bare ? choice.bare : choice.spaced,
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
    return drawFromHash(hash, { purpose: PURPOSE.end, below: 100 }) < endPercent(ownBytes);
  }

  function afterOwnByte(): void {
    ownBytes += 1;
    written += 1;
    const { piece, after } = currentWord();
    if (written === piece.bytes.length) goTo(after);
  }

  function afterForeignByte(byte: number): void {
    ownBytes = 0;
    goTo(placeAfter(byte));
  }

  function goTo(next: Place): void {
    place = next;
    word = undefined;
    written = 0;
  }

  return {
    read(tokenId) {
      if (word?.piece.idAt[written] === tokenId) readOwnToken(word.piece);
      else for (const byte of tokenBytes(tokenId)) readByte(byte);
    },
    next({ mayEnd }) {
      if (mayEnd && wantsToEnd()) return END_OF_TEXT_ID;
      return tokenAt(currentWord().piece, written);
    },
    prefixHash: () => hash,
  };
}

const SPACE = 0x20;
const BARE_CONTINUATION_STARTS = new Set(
  CONTINUATIONS.flatMap(([first]) => first?.choices.map(({ bare }) => bare.bytes[0]) ?? []),
);
const LINE_ENDS: readonly number[] = [0x0a, 0x3e];
const SENTENCE_ENDS: readonly number[] = [0x2e, 0x21, 0x3f];
const BLANKS: readonly number[] = [SPACE, 0x09, 0x0d];

/** A line break or the `>` of a template's marker begins a paragraph, a full stop a sentence. */
function placeAfter(byte: number): Place {
  if (LINE_ENDS.includes(byte)) return { at: 'boundary', bare: true, paragraphStart: true };
  if (SENTENCE_ENDS.includes(byte)) return { at: 'boundary', bare: false, paragraphStart: false };
  return BLANKS.includes(byte) ? AFTER_BLANK : AFTER_WORD;
}

const AFTER_BLANK: Place = { at: 'interrupted', bare: true };
const AFTER_WORD: Place = { at: 'interrupted', bare: false };

/**
 * How likely the text ends at a sentence boundary, in percent, after so many own bytes. A sentence
 * has about 14 tokens and 60 bytes, so three answers in four have 40 to 200 tokens, half of them
 * under 100.
 */
function endPercent(ownBytes: number): number {
  if (ownBytes === 0) return 0;
  if (ownBytes < 150) return 3;
  return ownBytes < 810 ? 19 : 60;
}
