/**
 * A reversible tokenizer without a vocabulary file: an id says which bytes it stands for, so any
 * process decodes what another one encoded, and text -> ids -> text is exact for any well-formed
 * Unicode text.
 *
 *   0 ..                    a single byte (ASCII punctuation and white space; the bytes of characters
 *                           outside the basic plane, which a stream can therefore cut in the middle)
 *   SPECIAL_BASE ..         the markers of the chat template
 *   DIGITS_BASE ..          groups of two and three digits
 *   CHARACTER_BASE ..       one character of the basic plane above ASCII
 *   WORD_BASE ..            one to six Latin letters, the first perhaps upper case, perhaps after a space
 *
 * English comes to about four characters per token, as with the tokenizers of 8B models.
 */

const SPECIAL_TOKENS = ['<|im_start|>', '<|im_end|>', '<|endoftext|>'] as const;

const SPECIAL_BASE = 256;
const DIGITS_BASE = 1024;
const CHARACTER_BASE = 4096;
const WORD_BASE = 131_072;
const WORD_LETTERS_MAX = 6;
const LETTERS = 26;
/** Index of the first word of each length: 1 letter, 2 letters, and so on. */
const WORD_LENGTH_OFFSETS = wordLengthOffsets();

/** The end-of-turn marker, which is also this model's end of text. */
export const END_OF_TEXT_ID = SPECIAL_BASE + SPECIAL_TOKENS.indexOf('<|im_end|>');
/** Ids at or above this one are out of vocabulary. Below 2^31, so an id fits a signed int32. */
export const VOCABULARY_SIZE = WORD_BASE + 4 * (WORD_LENGTH_OFFSETS[WORD_LETTERS_MAX] ?? 0);
/** Characters of the longest token (`<|endoftext|>`). */
export const TOKEN_CHARS_MAX = Math.max(...SPECIAL_TOKENS.map((token) => token.length));

const UTF8 = new TextEncoder();

type Match = { id: number; end: number };

/** Token ids of a text. A lone surrogate, which no UTF-8 text can hold, is read as U+FFFD. */
export function encode(text: string): number[] {
  const source = text.toWellFormed();
  const ids: number[] = [];
  let at = 0;
  while (at < source.length) {
    const match = matchSpecial(source, at) ?? matchWord(source, at) ?? matchDigits(source, at);
    if (match === undefined) {
      at = pushCharacter(source, at, ids);
    } else {
      ids.push(match.id);
      at = match.end;
    }
  }
  return ids;
}

/** The text of a list of ids; bytes that form no UTF-8 become U+FFFD. */
export function decode(ids: readonly number[]): string {
  const assembler = createTextAssembler();
  let text = '';
  for (const id of ids) text += assembler.push(id);
  return text + assembler.flush();
}

/** The bytes that a token stands for. */
export function tokenBytes(id: number): Uint8Array {
  if (id >= 0x80 && id <= 0xff) return Uint8Array.of(id);
  const text = tokenText(id);
  if (id >= CHARACTER_BASE && id < WORD_BASE) return UTF8.encode(text);
  // ASCII, and most tokens of most prompts: an encoder costs more than the rest of the reading.
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at += 1) bytes[at] = text.charCodeAt(at);
  return bytes;
}

/**
 * Decodes ids one by one. A character whose bytes are spread over several ids appears with the
 * last of them; `flush` gives up on an unfinished one.
 */
export function createTextAssembler(): { push(id: number): string; flush(): string } {
  // ignoreBOM: a byte order mark in the text is text.
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  let unfinished = false;

  function flush(): string {
    if (!unfinished) return '';
    unfinished = false;
    return decoder.decode();
  }

  function push(id: number): string {
    if (id < 0x80 || id > 0xff) return flush() + tokenText(id);
    unfinished = true;
    return decoder.decode(Uint8Array.of(id), { stream: true });
  }

  return { push, flush };
}

function tokenText(id: number): string {
  if (id < 0x80) return String.fromCharCode(id);
  if (id >= WORD_BASE) return wordText(id - WORD_BASE);
  if (id >= CHARACTER_BASE) return String.fromCharCode(id - CHARACTER_BASE).toWellFormed();
  if (id >= DIGITS_BASE) return digitsText(id - DIGITS_BASE);
  return SPECIAL_TOKENS[id - SPECIAL_BASE] ?? '';
}

function matchSpecial(text: string, at: number): Match | undefined {
  if (text.charCodeAt(at) !== 0x3c) return undefined;
  const index = SPECIAL_TOKENS.findIndex((token) => text.startsWith(token, at));
  if (index === -1) return undefined;
  return { id: SPECIAL_BASE + index, end: at + (SPECIAL_TOKENS[index]?.length ?? 0) };
}

function matchWord(text: string, at: number): Match | undefined {
  const spaced = text.charCodeAt(at) === 0x20;
  const first = spaced ? at + 1 : at;
  const upper = isUpper(text.charCodeAt(first));
  if (!upper && !isLower(text.charCodeAt(first))) return undefined;
  let end = first + 1;
  let value = text.charCodeAt(first) - (upper ? 0x41 : 0x61);
  while (end - first < WORD_LETTERS_MAX && isLower(text.charCodeAt(end))) {
    value = value * LETTERS + text.charCodeAt(end) - 0x61;
    end += 1;
  }
  const index = (WORD_LENGTH_OFFSETS[end - first - 1] ?? 0) + value;
  return { id: WORD_BASE + index * 4 + (spaced ? 2 : 0) + (upper ? 1 : 0), end };
}

function wordText(code: number): string {
  const index = Math.floor(code / 4);
  const length = WORD_LENGTH_OFFSETS.findLastIndex((offset) => offset <= index) + 1;
  let value = index - (WORD_LENGTH_OFFSETS[length - 1] ?? 0);
  let letters = '';
  for (let place = 0; place < length; place += 1) {
    letters = String.fromCharCode(0x61 + (value % LETTERS)) + letters;
    value = Math.floor(value / LETTERS);
  }
  if (code % 2 === 1) letters = letters.slice(0, 1).toUpperCase() + letters.slice(1);
  return code % 4 >= 2 ? ` ${letters}` : letters;
}

/** Two or three digits; one alone is a byte. */
function matchDigits(text: string, at: number): Match | undefined {
  let end = at;
  while (end - at < 3 && isDigit(text.charCodeAt(end))) end += 1;
  if (end - at < 2) return undefined;
  const value = Number(text.slice(at, end));
  return { id: DIGITS_BASE + value + (end - at === 3 ? 100 : 0), end };
}

function digitsText(code: number): string {
  if (code < 100) return String(code).padStart(2, '0');
  if (code < 1100) return String(code - 100).padStart(3, '0');
  return '';
}

function pushCharacter(text: string, at: number, ids: number[]): number {
  const codePoint = text.codePointAt(at) ?? 0;
  if (codePoint < 0x80) {
    ids.push(codePoint);
  } else if (codePoint <= 0xffff) {
    ids.push(CHARACTER_BASE + codePoint);
  } else {
    ids.push(...UTF8.encode(String.fromCodePoint(codePoint)));
    return at + 2;
  }
  return at + 1;
}

function isLower(code: number): boolean {
  return code >= 0x61 && code <= 0x7a;
}

function isUpper(code: number): boolean {
  return code >= 0x41 && code <= 0x5a;
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}

function wordLengthOffsets(): number[] {
  const offsets = [0];
  for (let letters = 1; letters <= WORD_LETTERS_MAX; letters += 1) {
    offsets.push((offsets[letters - 1] ?? 0) + LETTERS ** letters);
  }
  return offsets;
}
