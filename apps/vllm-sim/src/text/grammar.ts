import { createPiece, type Piece } from './piece.ts';
import { WORDS } from './words.ts';

/**
 * One place in a sentence: the words that may stand there, each with and without the space before
 * it. Punctuation has no space either way.
 */
type Slot = { readonly choices: readonly { spaced: Piece; bare: Piece }[] };
export type Sentence = readonly Slot[];

/** Whole sentences. `{list}` is a choice from WORDS; anything else stands for itself. */
export const SENTENCES: readonly Sentence[] = [
  '{Det} {adj} {noun} {verb} the {noun} {prep} the {noun} .',
  '{Det} {noun} {verb} the {adj} {noun} , {link} the {noun} {verb} the {noun} .',
  '{Adverb} , the {noun} {verb} one {adj} {noun} .',
  'In the {noun} , {number} of the {adj} {noun} parts stay {adj} and {adj} .',
  '{Det} {noun} is {adj} , {link} it {verb} the {adj} {noun} {prep} the {noun} .',
  'There are {number} ways to see the {noun} : from the {noun} , from the {adj} {noun} or from the {noun} .',
  'When the {noun} {verb} the {noun} , the {adj} {noun} {verb} it {prep} the {noun} .',
  '{Adverb} the {adj} {noun} {verb} the {noun} , {link} the {noun} is {adj} 🙂 .',
].map(parseSentence);

/** How to go on from a text that stops in the middle of a sentence. */
export const CONTINUATIONS: readonly Sentence[] = [
  'the {adj} {noun} {prep} the {noun} .',
  'another {noun} that {verb} the {adj} {noun} .',
  'and {verb} the {noun} {prep} the {adj} {noun} .',
].map(parseSentence);

function parseSentence(pattern: string): Sentence {
  return pattern.split(' ').map(parseSlot);
}

function parseSlot(word: string): Slot {
  const list = /^\{(\w+)\}$/.exec(word)?.[1];
  const words = list === undefined ? [word] : wordList(list);
  return { choices: words.map(choiceOf) };
}

function choiceOf(word: string): { spaced: Piece; bare: Piece } {
  const bare = createPiece(word);
  return { spaced: /^[.,:]$/.test(word) ? bare : createPiece(` ${word}`), bare };
}

function wordList(name: string): readonly string[] {
  const lists: Record<string, readonly string[]> = WORDS;
  const words = lists[name];
  if (words === undefined) throw new Error(`the grammar names no word list "${name}"`);
  return words;
}
