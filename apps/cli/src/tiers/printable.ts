/** Text from elsewhere, fit for a terminal. */

/** Longer names than this make no table. */
const CHARS_MAX = 60;
/**
 * Controls (escape sequences begin with one), invisible characters that change the direction of what
 * follows, separators that break lines, and halves of characters.
 */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;
/** What JSON leaves as it is: the control characters from DEL on, of which one begins a sequence. */
const UNESCAPED_IN_JSON = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** A name or a message: each such character is shown as U+FFFD. */
export function printable(text: string, charsMax = CHARS_MAX): string {
  const clean = text.replaceAll(UNPRINTABLE, '\uFFFD');
  return clean.length <= charsMax ? clean : `${clean.slice(0, charsMax - 1)}…`;
}

/** A piece of a text of many lines. */
export function printableText(text: string): string {
  return text.replaceAll(UNPRINTABLE, (character) =>
    character === '\n' || character === '\t' ? character : '\uFFFD',
  );
}

/** The same value as JSON, indented, with every such character escaped. */
export function printableJson(value: unknown): string {
  return JSON.stringify(value, null, 2)
    .split('\n')
    .map((line) => line.replaceAll(UNESCAPED_IN_JSON, escaped))
    .join('\n');
}

/** The same in one line. */
export function printableJsonLine(value: unknown): string {
  return JSON.stringify(value).replaceAll(UNESCAPED_IN_JSON, escaped);
}

function escaped(character: string): string {
  return Array.from(
    { length: character.length },
    (_, index) => String.raw`\u${character.charCodeAt(index).toString(16).padStart(4, '0')}`,
  ).join('');
}
