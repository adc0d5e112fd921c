/** Fenced blocks: code that says of itself that it is. */
import { CR, LF, isMarker, matchesAt } from './code-lines.ts';

/** A fence: ``` or ~~~ that opens a line, or ``` that opens later in a line and is not closed there. */
export function containsFence(text: string): boolean {
  let atLineHead = true;
  let openedAt = -1;
  let openedAtHead = false;
  let openSinceEarlierLine = false;
  if (!text.includes('```') && !text.includes('~~~')) return false;

  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    if (unit === LF || unit === CR) {
      if (openedAt !== -1) {
        if (openedAtHead || matchesAt(INFO_STRING, text, openedAt)) return true;
        openSinceEarlierLine = true;
      }
      openedAt = -1;
      atLineHead = true;
      continue;
    }
    if (unit !== BACKTICK && unit !== TILDE) {
      atLineHead &&= isMarker(unit);
      continue;
    }

    let runEnd = index + 1;
    while (text.charCodeAt(runEnd) === unit) runEnd += 1;
    const run = runEnd - index;
    if (unit === TILDE && run >= 3 && atLineHead) {
      const pattern = run <= BARE_TILDES_MAX ? INFO_STRING : INFO_WORD;
      if (matchesAt(pattern, text, runEnd)) return true;
    }
    if (unit === BACKTICK && run >= 3) {
      if (openSinceEarlierLine) return true;
      if (openedAt === -1) {
        openedAt = runEnd;
        openedAtHead = atLineHead;
      } else {
        const spanEnd = Math.min(index, openedAt + SPAN_CHARS_MAX);
        if (isStatement(text.slice(openedAt, spanEnd))) return true;
        openedAt = -1;
      }
    }
    atLineHead = false;
    index = runEnd - 1;
  }
  return openedAt !== -1 && openedAtHead;
}

const BACKTICK = 96;
const TILDE = 126;

/** A longer row of tildes without a language is a rule across the page. */
const BARE_TILDES_MAX = 6;

/** What may follow an opening fence: nothing, or one word or {attributes}; then a new line. */
const INFO_STRING = /[ \t]{0,20}(?:[\w+#.-]{0,30}|\{[^}\r\n]{0,80}\})[ \t]{0,20}(?=[\r\n])/y;
const INFO_WORD = /[ \t]{0,20}(?:[\w+#.-]{1,30}|\{[^}\r\n]{0,80}\})[ \t]{0,20}(?=[\r\n])/y;

/** Characters of a ```span``` within one line that decide whether it is a statement or a name. */
const SPAN_CHARS_MAX = 200;

function isStatement(span: string): boolean {
  return /[(){}=;]/.test(span);
}
