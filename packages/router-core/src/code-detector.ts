import { opensConstruct } from './code-constructs.ts';
import { containsFence } from './code-fence.ts';
import { scanLine, skipMarkers } from './code-lines.ts';
import type { Line } from './code-lines.ts';
import { hasCodeShape } from './line-shapes.ts';
import { beginsLikeSql, isSqlAt } from './sql-statement.ts';

/**
 * Whether a text contains program code: a fenced block, or a line that opens with a construct of a
 * programming language.
 *
 * Prose about code is not code, so a keyword never suffices: each pattern asks for the punctuation
 * that the language requires after it. Inline `code` is prose. Shell, JSON, CSV, YAML and LaTeX are
 * recognised only in a fence: they are pasted as data as often as code. HTML counts as a whole
 * page, a script or a style sheet, not as single tags; CSS as a rule (`a { color: red; }`).
 * In doubt it is code, because a wrong yes costs GPU time and a wrong no costs correctness.
 *
 * Linear in the text: each line is scanned once, patterns are sticky and their repetitions are
 * bounded or exclude what follows them, and only so many lines and SQL statements are looked at.
 */
export function containsCode(text: string): boolean {
  return containsFence(text) || containsConstruct(text);
}

/** Units. No line that opens with a construct is shorter: `try:`, `fn f`. */
const CONSTRUCT_UNITS_MIN = 4;

/** Statements looked at; a text where so many lines only begin like SQL is not SQL. */
const SQL_TRIES_MAX = 200;

/**
 * Lines looked at. A megabyte of prose has some 20,000; a text with more lines than this is a list
 * of crumbs, and longer than any context window.
 */
const LINES_MAX = 50_000;

function containsConstruct(text: string): boolean {
  const line: Line = { start: 0, end: -1, hasArrow: false, hasBrace: false, afterLabels: [] };
  const sqlTries = { left: SQL_TRIES_MAX };

  let lines = 0;

  while (line.end < text.length && lines < LINES_MAX) {
    scanLine(text, line);
    if (line.end - line.start < CONSTRUCT_UNITS_MIN) continue;
    lines += 1;

    const head = skipMarkers(text, line.start, line.end);
    if (opensStatement(text, head, sqlTries)) return true;
    if (hasCodeShape(text, line, head)) return true;
    for (const label of line.afterLabels) {
      const at = skipMarkers(text, label, line.end);
      if (opensStatement(text, at, sqlTries)) return true;
    }
  }
  return false;
}

function opensStatement(text: string, at: number, sqlTries: { left: number }): boolean {
  if (opensConstruct(text, at)) return true;
  if (sqlTries.left === 0 || !beginsLikeSql(text, at)) return false;
  sqlTries.left -= 1;
  return isSqlAt(text, at);
}
