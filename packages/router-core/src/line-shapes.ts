/** Code that is told by the shape of a whole line, whatever word it begins with. */
import { matchesAt } from './code-lines.ts';
import type { Line } from './code-lines.ts';

/** Whether the line, read from `head` on, has one of the shapes. */
export function hasCodeShape(text: string, line: Line, head: number): boolean {
  if (line.hasArrow && matchesAt(ARROW_FUNCTION, text, head)) return true;
  if (line.hasBrace && matchesAt(CSS_RULE, text, head)) return true;

  const last = lastOf(text, line);
  if (text[last] === ';') return matchesAt(CALL, text, head);
  return text[last] === '{' && matchesAt(BLOCK_END, text, Math.max(head, last - BLOCK_END_CHARS));
}

/** Where the line's last character is that is no blank; few follow it. */
function lastOf(text: string, { start, end }: Line): number {
  const from = Math.max(start, end - TRAILING_BLANKS_MAX);
  let last = end - 1;
  while (last > from && (text[last] === ' ' || text[last] === '\t')) last -= 1;
  return last;
}

const TRAILING_BLANKS_MAX = 20;

/**
 * `add = (a, b) => a + b`, `items.map(x => x * 2)`, `() => go()`; not the logic of
 * "a = b => b = a" or "(p) => (q)".
 */
const ARROW_FUNCTION = new RegExp(
  [
    String.raw`[\w.$]{1,80}(?::[^=\r\n]{1,80})? {0,4}= {0,4}(?:async {0,4})?(?:\([^()\r\n]{0,200}\) {0,4}=>|[A-Za-z_$]\w{0,80} {0,4}=>(?![^\r\n]{0,80} = ))`,
    String.raw`[\w$]{1,80}(?:\.[\w$]{1,80}){1,8}\((?:[^=\r\n]|=(?!>)){0,200}=>`,
    String.raw`(?:async {0,4})?\((?:\) {0,4}=>|[\w$]{1,40}(?: {0,4}, {0,4}[\w$]{1,40}){0,8}\) {0,4}=> {0,4}(?:\{|[^\r\n]{0,80}?(?:[+*;]|\w[.(]\w)))`,
  ].join('|'),
  'y',
);

/**
 * `doIt(now);`, `x = await f.g(1);`, `el.get("x").text = "y";`. Not "the fee(s) and the cost(s);",
 * "f(0) = 1;" (no function of one letter).
 */
const CALL =
  /(?!\$?\d)(?:[\w$.]{1,80} {0,4}[-+]?= {0,4})?(?:(?:await|return|new) {1,4})?(?:[\w$]{2,80}|\$|\w(?=[.-]))(?:(?:\.|->|::)[\w$]{1,80}){0,8}\((?!e?s\)|ies\)|[a-z0-9]{1,3}\) )(?:[^()\r\n]{0,200}\)\.\w{1,80} {0,4}=|[^;\r\n]{0,400}\) {0,4};)/y;

const BLOCK_END_CHARS = 12;
/** `) {`, `=> {`, `} else {`: how a line ends that opens a block. */
const BLOCK_END =
  /[^\r\n]{0,12}(?:\)|=>|\b(?:else|try|do|finally|unsafe)) {0,4}\{[ \t]{0,20}(?=[\r\n]|$)/y;

/** Elements whose style is set in examples, beside classes and ids. */
const CSS_SELECTOR = String.raw`(?:(?<=\.)(?=[A-Za-z_])|(?<=\* {0,4})(?=\{)|[#@:[]|(?:a|body|button|code|div|footer|form|h[1-6]|header|html|img|input|label|li|main|nav|ol|p|pre|section|span|svg|table|tbody|td|textarea|th|thead|tr|ul)(?![\w]))`;
const CSS_PROPERTY =
  '(?:--[a-z]|align|animation|background|border|bottom|box|clear|color|column|content|cursor|display|fill|filter|flex|float|font|gap|grid|height|justify|left|letter|line|list|margin|max|min|object|opacity|order|outline|overflow|padding|pointer|position|right|stroke|text|top|transform|transition|user|vertical|visibility|white|width|word|z)';

/** `a:hover { color: red; }`, on one line or two; not "the format {name: value}", "\ref{fig:a}". */
const CSS_RULE = new RegExp(
  String.raw`${CSS_SELECTOR}[^{}\\\r\n;"]{0,100}\{[ \t]{0,20}(?:\r?\n[ \t]{0,80})?${CSS_PROPERTY}[a-z-]{0,40} {0,4}: {0,4}(?:[^;{}"\r\n]{1,80};|[^;{}"',\r\n]{1,80}\})`,
  'y',
);
