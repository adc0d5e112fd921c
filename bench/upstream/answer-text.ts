/**
 * What the engine says: a function of the answer's id, which stands in its prompt, and of the token's
 * index. So whoever reads an answer knows each byte that must be in it.
 */

/** Each token is a space and two of these pairs: 14.7 million words, none of which needs an escape. */
const LETTERS = Array.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789');
const PAIRS = LETTERS.flatMap((first) => LETTERS.map((second) => first + second));

export const TOKEN_CHARS = 5;
/** In a prompt: the engine begins the answer and never says a word of it. */
export const HOLD = '[hold]';
const MARK = /\[answer ([\w-]{1,64})\]/;

/** What a prompt holds so that its answer is that of this id. */
export function markOf(answerId: string): string {
  return `[answer ${answerId}]`;
}

/** Null where a prompt has none: any answer will do. */
export function answerIdIn(prompt: string): string | null {
  return MARK.exec(prompt)?.[1] ?? null;
}

/** 32-bit FNV-1a. */
export function seedOf(answerId: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < answerId.length; at += 1) {
    hash = Math.imul(hash ^ answerId.charCodeAt(at), 0x01000193);
  }
  return hash >>> 0;
}

export function tokenText(seed: number, index: number): string {
  const hash = mix(seed, index);
  const first = PAIRS[hash % PAIRS.length] ?? '';
  const second = PAIRS[Math.trunc(hash / PAIRS.length) % PAIRS.length] ?? '';
  return ` ${first}${second}`;
}

/** From a vocabulary of 2^17 tokens. */
export function tokenId(seed: number, index: number): number {
  return mix(seed, index) & 0x1ffff;
}

/** Of a prompt, which nobody looks into: one for each five letters. */
export function promptTokensOf(text: string): number {
  return Math.ceil(text.length / TOKEN_CHARS);
}

/** So many ids of nothing in particular. */
export function idsOf(tokens: number): number[] {
  return Array.from({ length: tokens }, (_, at) => at);
}

/** The finaliser of MurmurHash3 over both. */
function mix(seed: number, index: number): number {
  let hash = (seed + Math.imul(index + 1, 0x9e3779b1)) | 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
