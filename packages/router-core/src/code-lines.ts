/** Lines of a text, and where in them code may begin. */

export const LF = 10;
export const CR = 13;
const SPACE = 32;
const COLON = 58;
const EQUALS = 61;
const GREATER = 62;
const BRACE = 123;
const WIDE_COLON = 0xff1a;

/** One line: where it lies, and what was seen while looking for its end. */
export interface Line {
  start: number;
  end: number;
  hasArrow: boolean;
  hasBrace: boolean;
  /** Where text after a label begins: `Why is this slow: SELECT …`. */
  afterLabels: number[];
}

/** A label is short and near the line's beginning; sentences have few colons. */
const LABEL_CHARS_MAX = 120;
const LABELS_MAX = 2;

/** Moves on to the next line. Most units are letters, so they take the shortest way. */
export function scanLine(text: string, line: Line): void {
  const start = line.end + 1;
  let hasArrow = false;
  let hasBrace = false;
  if (line.afterLabels.length > 0) line.afterLabels = [];

  let end = start;
  for (; end < text.length; end += 1) {
    const unit = text.charCodeAt(end);
    if (unit > GREATER) {
      if (unit === BRACE) hasBrace = true;
      else if (unit === WIDE_COLON) addLabel(line, { start, end });
    } else if (unit === SPACE) {
      if (text.charCodeAt(end - 1) === COLON) addLabel(line, { start, end });
    } else if (unit === GREATER) {
      if (text.charCodeAt(end - 1) === EQUALS) hasArrow = true;
    } else if (unit === LF || unit === CR) break;
  }
  line.start = start;
  line.end = end;
  line.hasArrow = hasArrow;
  line.hasBrace = hasBrace;
}

function addLabel({ afterLabels }: Line, { start, end }: { start: number; end: number }): void {
  const isLabel = end - start < LABEL_CHARS_MAX && afterLabels.length < LABELS_MAX;
  if (isLabel) afterLabels.push(end + 1);
}

/** Skips indentation, quote marks (`>`), bullets and numbers (`1.`), and a diff's `+` and `-`. */
export function skipMarkers(text: string, start: number, end: number): number {
  let at = start;
  while (at < end && isMarker(text.charCodeAt(at))) at += 1;
  return at;
}

export function isMarker(unit: number): boolean {
  switch (unit) {
    case 0x20: // space
    case 0x09: // tab
    case 0x3e: // >
    case 0x2d: // -
    case 0x2a: // *
    case 0x2b: // +
    case 0x2e: // .
    case 0x29: // )
    case 0xa0: // no-break space
    case 0xfeff: // byte order mark
      return true;
    default:
      return unit >= 0x30 && unit <= 0x39;
  }
}

/** Whether a pattern with the flag `y` matches there. */
export function matchesAt(sticky: RegExp, text: string, at: number): boolean {
  sticky.lastIndex = at;
  return sticky.test(text);
}
