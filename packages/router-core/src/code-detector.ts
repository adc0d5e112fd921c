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
 * bounded or exclude what follows them, and only so many SQL statements are looked at.
 */
export function containsCode(text: string): boolean {
  return containsFence(text) || containsConstruct(text);
}

/** A fence: ``` or ~~~ that opens a line, or ``` that opens later in a line and is not closed there. */
function containsFence(text: string): boolean {
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
        if (isStatement(text.slice(openedAt, Math.min(index, openedAt + SPAN_CHARS_MAX))))
          return true;
        openedAt = -1;
      }
    }
    atLineHead = false;
    index = runEnd - 1;
  }
  return openedAt !== -1 && openedAtHead;
}

const LF = 10;
const CR = 13;
const BACKTICK = 96;
const TILDE = 126;
const SPACE = 32;
const COLON = 58;
const EQUALS = 61;
const GREATER = 62;
const BRACE = 123;

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

/** One line: where it lies, and what was seen while looking for its end. */
interface Line {
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

/** Units. No construct is shorter: `<?php`, `a=>{}`. */
const CONSTRUCT_UNITS_MIN = 5;

/** Statements looked at; a text where so many lines only begin like SQL is not SQL. */
const SQL_TRIES_MAX = 200;

function containsConstruct(text: string): boolean {
  const line: Line = { start: 0, end: -1, hasArrow: false, hasBrace: false, afterLabels: [] };
  const sqlTries = { left: SQL_TRIES_MAX };

  while (line.end < text.length) {
    scanLine(text, line);
    if (line.end - line.start < CONSTRUCT_UNITS_MIN) continue;

    const head = skipMarkers(text, line.start, line.end);
    if (opensConstruct(text, head, sqlTries)) return true;
    if (line.hasArrow && matchesAt(ARROW_ASSIGNMENT, text, head)) return true;
    if (line.hasBrace && matchesAt(CSS_RULE, text, head)) return true;
    for (const at of line.afterLabels) {
      if (opensConstruct(text, at, sqlTries)) return true;
    }
  }
  return false;
}

function opensConstruct(text: string, at: number, sqlTries: { left: number }): boolean {
  const unit = text.charCodeAt(at);
  const pattern = CONSTRUCT_BY_UNIT[unit];
  if (pattern !== undefined && matchesAt(pattern, text, at)) return true;

  if (sqlTries.left === 0 || !SQL_FIRST_LETTERS.includes(text[at] ?? ' ')) return false;
  if (!matchesAt(SQL_OPENING, text, at)) return false;
  sqlTries.left -= 1;
  return isSql(text.slice(at, at + SQL_CHARS_MAX));
}

/** Moves on to the next line. Most units are letters, so they take the shortest way. */
function scanLine(text: string, line: Line): void {
  const start = line.end + 1;
  let hasArrow = false;
  let hasBrace = false;
  if (line.afterLabels.length > 0) line.afterLabels = [];

  let end = start;
  for (; end < text.length; end += 1) {
    const unit = text.charCodeAt(end);
    if (unit > GREATER) {
      if (unit === BRACE) hasBrace = true;
    } else if (unit === SPACE) {
      const isLabel = end - start < LABEL_CHARS_MAX && text.charCodeAt(end - 1) === COLON;
      if (isLabel && line.afterLabels.length < LABELS_MAX) line.afterLabels.push(end + 1);
    } else if (unit === GREATER) {
      if (text.charCodeAt(end - 1) === EQUALS) hasArrow = true;
    } else if (unit === LF || unit === CR) break;
  }
  line.start = start;
  line.end = end;
  line.hasArrow = hasArrow;
  line.hasBrace = hasBrace;
}

/** Skips indentation, quote marks (`>`), bullets and numbers (`1.`), and a diff's `+` and `-`. */
function skipMarkers(text: string, start: number, end: number): number {
  let at = start;
  while (at < end && isMarker(text.charCodeAt(at))) at += 1;
  return at;
}

function isMarker(unit: number): boolean {
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

function matchesAt(sticky: RegExp, text: string, at: number): boolean {
  sticky.lastIndex = at;
  return sticky.test(text);
}

/** An identifier; letters beyond ASCII are allowed wherever a language allows them. */
const ID = String.raw`[\w$\u00aa-\u1fff\u3005-\ud7ff]{1,80}`;
/** What may stand between a statement and the end of its line. */
const END = String.raw`[ \t;]{0,20}(?:[\r\n#]|\/\/|$)`;
/** Parameters on one line, in brackets. */
const PARAMETERS = String.raw`\([^()\r\n]{0,300}\)`;
const NEXT_LINE = String.raw`[ \t]{0,20}\r?\n[ \t]{0,80}`;
const EXTENDS = String.raw`(?:extends|implements)[ ]{1,4}`;
/** Python modules (and Apple's) whose bare import is no phrase of English trade. */
const MODULE =
  '(?:os|sys|re|json|math|time|random|csv|logging|typing|datetime|collections|itertools|functools|subprocess|threading|multiprocessing|asyncio|numpy|pandas|torch|requests|tensorflow|matplotlib|sklearn|scipy|flask|django|socket|pathlib|argparse|unittest|pytest|string|copy|pickle|hashlib|shutil|glob|uuid|io|struct|heapq|bisect|urllib|statistics|traceback|UIKit|Foundation|SwiftUI)';
/** Words that stand before a noun, never before `import` or after `FROM` in code. */
const DETERMINER =
  '(?:the|an?|this|that|these|those|my|your|our|his|her|their|its|each|every|all|any|some|such|one|two|three|among|within|between|both|either|other|below|above)';
const C_TYPE =
  '(?:void|int|char|float|double|long|short|bool|boolean|size_t|unsigned|auto|byte|string|String)';

/**
 * The constructs by their first character. Keep rows strict: beside each stands what it must not
 * match. In every row, a repetition is bounded or followed by something it cannot match.
 */
const CONSTRUCTS: readonly (readonly [firsts: string, source: string])[] = [
  // Python, Ruby: not "def leppard (the band)", "class of goods", "class A: economy seats".
  ['d', String.raw`def {1,4}(?:self\.)?[\w.]{1,80}[?!]?\(`],
  ['d', String.raw`def {1,4}(?:self\.\w|\w{1,80}[?!]?${NEXT_LINE}(?<=[ \t])\S)`],
  [
    'd',
    String.raw`def {1,4}\w{1,80} {1,4}\((?:[ \t]*\*{0,2}\w{1,80}[ \t]*(?:[,:=][^)\r\n]{0,200})?)?\)[ \t]*(?:->[^:\r\n]{0,100})?:[ \t]*(?:[\r\n#]|$|return\b|pass\b)`,
  ],
  ['d', String.raw`(?:defmodule|defp) {1,4}\w`],
  ['a', String.raw`async {1,4}(?:def|function\*?|fn|fun) {1,4}${ID} {0,4}[(<]`],
  ['a', String.raw`async {1,4}function\*? {0,4}\([^)\r\n]{0,200}\) {0,4}\{`],
  [
    'acdefops',
    String.raw`(?:export {1,4})?(?:default {1,4})?(?:(?:abstract|final|data|sealed|open|partial|static|declare) {1,4}){0,3}class {1,4}(?:${ID}(?:<[^>\r\n]{0,100}>)?(?!\(e?s\))(?:${PARAMETERS})? {0,4}(?:(?<=[\w)]):[ \t]*(?:pass\b|\.\.\.|(?:public|private|protected) |${NEXT_LINE}(?<=[ \t])[^-*\d\s])|(?<=\)):${END}|\{|:[^{}\r\n]{1,100}\{|${EXTENDS}(?:[A-Z]|[^{}\r\n]{1,100}\{)|< {0,4}[A-Z]\w)|\w{0,80}[A-Z_\d]\w{0,80}(?::${END}|\([^)\r\n]{0,200}: [^)\r\n]{0,200}\)|${NEXT_LINE}\{)|[a-z]:${END})`,
  ],
  ['i', String.raw`if {1,4}__name__\b`],
  [
    'erw',
    String.raw`with {1,4}open\(|except {1,4}\(?\w{0,60}(?:Error|Exception)\b|raise {1,4}\w{1,60}(?:Error|Exception)\(`,
  ],
  ['f', String.raw`for {1,4}[\w, ]{1,40} in {1,4}(?:range|enumerate|zip)\(`],
  ['w', String.raw`while {1,4}(?:True|not \w{1,40}) {0,4}:${END}`],
  // Imports: not "import duties rose", "from the import of goods", "- import taxes".
  ['i', String.raw`import {1,4}(?:${MODULE}|\w{1,2})(?:,[\w ,.]{1,200})?${END}`],
  ['i', String.raw`import {1,4}[\w.]{1,80} as \w{1,80}(?:,[\w ,.]{1,200})?${END}`],
  [
    'i',
    String.raw`import {1,4}(?:static {1,4})?\w{1,80}(?:\.\w{1,80}){1,20}(?:\.\*)?(?:${END}| {0,4}[({])`,
  ],
  ['i', String.raw`import {1,4}(?:\w{1,80};|[a-z0-9]{1,40}_\w{1,80})${END}`],
  [
    'i',
    String.raw`import {1,4}\w{1,80}${NEXT_LINE}(?:\r?\n[ \t]{0,80}){0,2}(?:[\w.]{1,80}\(|[\w.[\]'"]{1,80} {0,4}[-+*/]?= {0,4}\S)`,
  ],
  [
    'i',
    String.raw`import(?: type)? {0,4}(?:\{|\* {0,4}as\b|['"][^'"\s]{1,200}['"]${END}|\(${END})`,
  ],
  [
    'i',
    String.raw`import(?: type)? {1,4}${ID}(?: {0,4}, {0,4}[{*][^'"\r\n]{0,200})? {1,4}from {0,4}['"]`,
  ],
  ['i', String.raw`import {1,4}qualified {1,4}[A-Z]`],
  [
    'f',
    String.raw`from {1,4}(?!${DETERMINER} )(?:\.{1,3}[\w.]{0,80}|[\w.]{1,80}) {1,4}import {1,4}(?:\(|\*${END}|\w{1,80}(?: as \w{1,80})?(?: {0,4}, {0,4}\w{1,80}(?: as \w{1,80})?){0,40}(?:${END}|;))`,
  ],
  // JavaScript, TypeScript: not "function of a broker", "function calls (see below)", "let us go".
  [
    'ef',
    String.raw`(?:export {1,4})?(?:default {1,4})?function\*? {0,4}(?:${ID}(?:<[^>\r\n]{0,100}>)?\([^)\r\n]{0,300}(?:[\r\n]|$|\)[ \t]*(?:[:{)]|=>|return\b|(?<!\(e?s\))${END}))|(?:${ID} {1,4})?\([^)\r\n]{0,300}\)[ \t]*\{)`,
  ],
  [
    'ce',
    String.raw`(?:export {1,4})?const {1,4}(?:[{[]|[\w$*&:<>\u00aa-\u1fff]{1,80}(?: {1,4}[*&]{0,2}${ID})?(?:\[\w{0,40}\])? {0,4}(?::[^=\r\n]{1,120})?=)`,
  ],
  [
    'ev',
    String.raw`(?:export {1,4})?var {1,4}(?:[{[]|${ID}(?: {1,4}[\w.*[\]]{1,60})? {0,4}(?::[^=\r\n]{1,120})?=|${ID};)`,
  ],
  [
    'el',
    String.raw`(?:export {1,4})?let {1,4}(?:mut {1,4}\w|rec {1,4}\w{1,80} |[{[][^=\r\n]{0,200}(?:=|[\r\n]))`,
  ],
  [
    'el',
    // Nor "let x = 5 and find 2x".
    String.raw`(?:export {1,4})?let {1,4}${ID} {0,4}(?::[^=\r\n]{1,120})?=(?![^;"'\x60({[\r\n]{0,80}\b(?:and|be|find|what|then|compute|calculate|evaluate|solve|show|prove|where|if) )`,
  ],
  [
    'e',
    String.raw`export {1,4}(?:default {1,4})?(?:\{|\* {1,4}(?:from|as)\b|\[|async {1,4}function|[A-Z]\w{0,80};)`,
  ],
  [
    'eit',
    String.raw`(?:export {1,4})?(?:declare {1,4})?(?:interface|type|enum) {1,4}${ID}(?:<[^>\r\n]{0,100}>)? {0,4}(?:= {0,4}(?:[\x22'([|]|(?:string|number|boolean|unknown|never)\b|[^\r\n]{0,120}[;|{<&])|\{|struct {0,4}\{|interface {0,4}\{|${EXTENDS}[A-Z])`,
  ],
  ['r', String.raw`require(?:_once|_relative)? ?(?:\( ?['"]|['"][^'"\s]{1,200}['"]${END})`],
  ['c', String.raw`console\.(?:log|error|warn|info|debug)\(`],
  ['m', String.raw`module\.exports\b`],
  // C, C++: not "#include me", "double check (again)", "int. main office (London)".
  ['#', String.raw`#[ \t]{0,8}(?:include|import)[ \t]{0,8}[<"][\w./+-]{1,200}[>"]`],
  [
    '#',
    String.raw`#[ \t]{0,8}(?:define[ \t]{1,8}(?:[A-Z_][A-Z0-9_]{0,80}\b|\w{1,80}(?:\(| \d))|ifn?def[ \t]{1,8}\w|pragma[ \t]{1,8}\w)`,
  ],
  ['i', String.raw`int {1,4}main {0,4}\(`],
  [
    'abcdefilsuvS',
    String.raw`(?:(?:static|inline|unsigned|extern|constexpr|virtual|final) {1,4}){0,3}${C_TYPE}(?:\[\]|\*)? {1,4}[*&]{0,2}${ID}(?:[ \t]{0,4}${PARAMETERS}[ \t]{0,4}(?:const {0,4})?(?:${NEXT_LINE})?\{|(?:\[\w{0,40}\])? {0,4}= {0,4}[^;\r\n]{1,200};)`,
  ],
  ['t', String.raw`template {0,4}<|typedef {1,4}\w{1,80} [^;\r\n]{1,200};`],
  [
    'emnst',
    String.raw`(?:struct|enum class|union|namespace|trait|mod) {1,4}[\w:.\\]{1,80}(?:<[^>\r\n]{0,100}>)? {0,4}(?:\{|${NEXT_LINE}\{)|(?:struct|namespace|mod) {1,4}[\w:.\\]{1,80};${END}`,
  ],
  [
    'u',
    String.raw`using {1,4}(?:namespace {1,4}\w|(?:static {1,4}|\w{1,80} {0,4}= {0,4})?\w{1,80}(?:\.\w{1,80}){0,20};${END})`,
  ],
  ['s', String.raw`std::\w`],
  ['fisw', String.raw`(?:for|if|switch|while) {0,4}\([^{\r\n]{1,200}\) {0,4}\{`],
  ['f', String.raw`for {0,4}\((?:(?:int|let|var|const|auto|size_t) |;;)`],
  ['p', String.raw`print(?:f|ln)? ?\( ?[f]?["']|print\((?!e?s\))[^)\r\n]{0,200}\)${END}`],
  ['p', String.raw`println!\(`],
  // Rust, Go, Swift, Kotlin: not "use the door", "package holidays", "fun (and games)", "pub crawl".
  [
    'efp',
    String.raw`(?:pub(?:\(\w{1,20}\))? {1,4})?(?:(?:async|unsafe|const|extern "C") {1,4}){0,2}fn {1,4}\w{1,80} {0,4}[(<]`,
  ],
  [
    'p',
    String.raw`pub(?:\(\w{1,20}\))? {1,4}(?:(?:struct|enum|trait|mod) {1,4}\w{1,80}(?:<[^>\r\n]{0,100}>)? {0,4}[{(;]|use {1,4}\w{1,80}::|(?:const|static|type) {1,4}\w{1,80} {0,4}[:=])`,
  ],
  ['u', String.raw`use {1,4}\\?\w{1,80}(?:::|\\)[\w:{*\\]`],
  [
    'i',
    String.raw`impl(?:<[^>\r\n]{0,100}>)? {1,4}(?:[\w:]{1,80}::)?[A-Z]\w{0,80}(?:<[^>\r\n]{0,100}>)? {0,4}(?:\{|for {1,4}[A-Z&<]|${END})`,
  ],
  [
    '#',
    String.raw`#!?\[(?:derive|cfg|test|allow|deny|warn|inline|must_use|no_mangle|repr|serde|tokio)\b`,
  ],
  ['m', String.raw`macro_rules! |match {1,4}[\w.&()]{1,80} {0,4}\{${END}`],
  ['f', String.raw`func {1,4}(?:\([^()\r\n]{1,80}\) {0,4})?${ID} {0,4}[(<[]`],
  ['f', String.raw`fun {1,4}(?:<[^>\r\n]{0,100}> {0,4})?[\w.]{1,80}${PARAMETERS} {0,4}[:{=]`],
  [
    'p',
    String.raw`package {1,4}(?:main${END}|\w{1,80}(?:\.\w{1,80}){0,20};${END}|\w{1,80}(?:\.\w{1,80}){1,20}${END})`,
  ],
  // Java, C#: not "public class size debates", "private schools near me (cheap)", "public opinion".
  [
    'aip',
    String.raw`(?:public|private|protected|internal) {1,4}(?:(?:static|final|abstract|sealed|override|virtual|async|readonly|partial|synchronized|const) {1,4}){0,4}(?:(?:class|interface|enum|record|struct) {1,4}(?:[A-Z]\w|\w{1,80} {0,4}(?:[{<(]|${EXTENDS}\w))|[\w.]{1,80}(?:<[^>\r\n]{0,100}>|\[\])?\??(?: {1,4}${ID})?(?!\(e?s\))\((?![a-z]{1,20}\)(?! {0,4}[{:;]))|(?:${C_TYPE}|[A-Z]\w{0,80}(?:<[^>\r\n]{0,100}>)?)(?:\[\])? {1,4}${ID} {0,4}(?:[;{]|=[^=])|${ID}\??: {0,4}\w{1,80}(?:<[^>\r\n]{0,100}>)?(?:\[\])? {0,4}(?:;|=[^=]))`,
  ],
  [
    'p',
    String.raw`(?:public|private|protected) {1,4}(?:static {1,4}(?:final|void|int|async|readonly|const|String)|readonly|override) {1,4}\w`,
  ],
  ['S', String.raw`System\.(?:out|err)\.print`],
  // PHP, Perl, Lua, Lisp, Haskell: not "$x = 5$ is a solution", "(define your terms)".
  ['#', String.raw`#! ?\/`],
  [
    '<',
    String.raw`<\?(?:php\b|=)|<(?:![Dd][Oo][Cc][Tt][Yy][Pp][Ee] {1,4}html|html|script|style)[ >]`,
  ],
  [
    '$',
    String.raw`\$[A-Za-z_]\w{0,80}(?:\[[^\]\r\n]{0,40}\])? {0,4}= {0,4}[^;\r\n]{1,200}(?<!\$);${END}`,
  ],
  ['m', String.raw`my {1,4}(?:[$@%][A-Za-z_]|\([$@%][A-Za-z_])`],
  ['s', String.raw`sub {1,4}\w{1,80} {0,4}\{${END}`],
  [
    'l',
    String.raw`local {1,4}(?:function {1,4}\w|\w{1,80}(?: {0,4}, {0,4}\w{1,80}){0,8} {0,4}= {0,4}(?:[\d{\x22'(]|[\w.:]{1,80}(?:\(|${END})))`,
  ],
  [
    '(',
    String.raw`\((?:defun|defn|defmacro|defvar) {1,4}\S|\((?:define|let|lambda) {0,4}\(|\(ns {1,4}\w{1,80}\.`,
  ],
  [
    'm',
    String.raw`module {1,4}[A-Z][\w.]{0,80}(?: {0,4}\([^)\r\n]{0,200}\))? {1,4}where${END}|main {0,4}:: {0,4}IO\b`,
  ],
];

const CONSTRUCT_BY_UNIT = byFirstUnit();

/** One sticky pattern for each first character, so that most lines cost one look into this table. */
function byFirstUnit(): readonly (RegExp | undefined)[] {
  const sources: string[][] = [];
  for (const [firsts, source] of CONSTRUCTS) {
    for (const first of firsts) (sources[first.charCodeAt(0)] ??= []).push(`(?:${source})`);
  }
  return Array.from(sources, (alternatives) =>
    alternatives === undefined ? undefined : new RegExp(alternatives.join('|'), 'y'),
  );
}

/** `add = (a, b) => a + b`, `items.map(x => …)` only where it is assigned. */
const ARROW_ASSIGNMENT =
  /[\w.$]{1,80}(?::[^=\r\n]{1,80})? {0,4}= {0,4}(?:async {0,4})?(?:\([^()\r\n]{0,200}\) {0,4}=>|[A-Za-z_$]\w{0,80} {0,4}=>(?![^\r\n]{0,80} = ))/y;

/** `a:hover { color: red; }`, on one line or two. */
const CSS_RULE =
  /[.#@:[\w][^{}\r\n;"]{0,100}\{[ \t]{0,20}(?:\r?\n[ \t]{0,80})?[a-z-]{2,40} {0,4}: {0,4}(?:[^;{}"\r\n]{1,80};|[^;{}"',\r\n]{1,80}\})/y;

/** Characters of one statement that are looked at. */
const SQL_CHARS_MAX = 1000;

const SQL_FIRST_LETTERS = 'sSiIuUdDcCaAtTwWeE';
const SQL_OPENING =
  /(?:select|insert into|update|delete from|create|alter table|drop table|truncate table|with|explain)\b/iy;

const SQL_NAME = String.raw`[\w."\x60[\]$@#]{1,100}`;

/** Everything but SELECT. In capitals less is asked for: nobody shouts "Create table reservations". */
const SQL_STATEMENTS: readonly RegExp[] = [
  sql(
    'i',
    String.raw`insert into ${SQL_NAME}\s*(?:\([^()]{1,400}\)\s*)?(?:values\s*\(|select\s|default values)`,
  ),
  sql('', String.raw`INSERT INTO ${SQL_NAME}\s*(?:\(|VALUES)`),
  sql('i', String.raw`update ${SQL_NAME}\s+(?:(?:as )?\w{1,80}\s+)?set\s+${SQL_NAME}\s*=`),
  sql(
    'i',
    String.raw`delete from ${SQL_NAME}(?:;|\s+where\s+${SQL_NAME}\s*(?:[=<>!]|(?:not )?(?:in|like|between)\b|is (?:not )?null))`,
  ),
  sql('', String.raw`DELETE FROM ${SQL_NAME}(?:\s*(?:;|WHERE\b)|[ \t]*(?:[\r\n]|$))`),
  sql(
    'i',
    String.raw`create (?:temp |temporary )?table (?:if not exists )?${SQL_NAME}\s*\(\s*${SQL_NAME}\s+(?:(?:big|small|tiny)?int(?:eger)?|(?:big)?serial|text|n?(?:var)?char2?|uuid|bool(?:ean)?|date(?:time)?|time(?:stamp)?(?:tz)?|numeric|number|decimal|real|float|double|jsonb?|blob|bytea)\b`,
  ),
  sql(
    '',
    String.raw`CREATE (?:TEMP |TEMPORARY )?TABLE (?:IF NOT EXISTS )?${SQL_NAME}\s*(?:\(|AS\b)`,
  ),
  sql(
    'i',
    String.raw`create (?:unique )?index (?:concurrently )?(?:if not exists )?${SQL_NAME} on ${SQL_NAME}\s*(?:using \w{1,20}\s*)?\(`,
  ),
  sql(
    'i',
    String.raw`create (?:or replace )?(?:materialized )?view ${SQL_NAME}\s+as\s+(?:select|with)\b`,
  ),
  sql('', String.raw`CREATE (?:OR REPLACE )?(?:FUNCTION|PROCEDURE|TRIGGER|DATABASE|SCHEMA) \w`),
  sql(
    'i',
    String.raw`alter table ${SQL_NAME}\s+(?:add|drop|rename|alter|modify)\s+(?:column|constraint|index|to|${SQL_NAME}\s+(?:int|text|varchar|bool|date|uuid))\b`,
  ),
  sql(
    'i',
    String.raw`(?:drop|truncate) table (?:if exists )?${SQL_NAME}(?: cascade)?;[ \t]*(?:[\r\n]|$)`,
  ),
  sql('', String.raw`(?:ALTER|DROP|TRUNCATE) TABLE ${SQL_NAME}`),
  sql('i', String.raw`with (?:recursive )?\w{1,80}\s*(?:\([^()]{1,200}\)\s*)?as\s*\(\s*select\b`),
];

function sql(flags: '' | 'i', source: string): RegExp {
  return new RegExp(String.raw`^${source.replaceAll(' ', String.raw`\s+`)}`, flags);
}

/** Whether a text that begins like a statement is one. */
function isSql(statement: string): boolean {
  const text = statement.replace(/^explain\s+(?:analyze\s+)?/i, '');
  return isSelect(text) || SQL_STATEMENTS.some((pattern) => pattern.test(text));
}

/**
 * SELECT is an English verb, and `from` follows it in English too. What tells them apart is the
 * list between them (names and expressions, no phrases) and what follows the table's name.
 */
function isSelect(text: string): boolean {
  const opening = /^(select)\s+(?:(?:distinct|all|top\s+\d+)\s+)?/i.exec(text);
  const from = /\s(from)\s+/i.exec(text);
  if (opening === null || from === null || from.index < opening[0].length) return false;

  const columns = text.slice(opening[0].length, from.index).trim();
  if (/;|\n\s*\n/.test(columns)) return false;
  if (/\(\s*select\s/i.test(columns)) return true;
  const source = text.slice(from.index + from[0].length);
  if (/^\(\s*select\s/i.test(source)) return true;
  const table = SQL_TABLE.exec(source)?.[0];
  if (table === undefined || isDeterminer(table)) return false;

  const items = columns.replaceAll(/'[^']*'|\([^()]*\)/g, '()').split(',');
  if (items.some((item) => isPhrase(item.trim()))) return false;

  const keywords = [opening[1], from[1]].join(' ');
  const shouts = `${columns} ${table}` === `${columns} ${table}`.toUpperCase();
  if (keywords === 'SELECT FROM' && !shouts) return true;
  if (items.some((item) => /^\s*(?:\w+\.)?\*\s*$|\w\(|\w[_.]\w|["`[]/.test(item))) return true;
  if (items.some((item) => /^\s*[A-Za-z]+\s+[A-Za-z]+\s*$/.test(item))) return false;
  const after = source.slice(table.length);
  const isSentence = opening[1] === 'Select' && items.length === 1 && !/\d|\sas\s/i.test(columns);
  return SQL_CLAUSE.test(after) || (!isSentence && SQL_LINE_END.test(after));
}

const SQL_TABLE = new RegExp(`^${SQL_NAME}`);
/** After a table's name, and perhaps a short alias. */
const SQL_LINE_END = /^(?: +(?:as +)?[a-z]\w{0,2})?[ \t]*(?:[\r\n),]|$)/;
const SQL_CLAUSE =
  /^(?:\s+(?:as\s+)?[a-z]\w{0,2})?(?:\s*;|\s+(?:(?:inner|left|right|full|cross|natural)\s+(?:outer\s+)?join|join|order\s+by|group\s+by|having|union|limit\s+\d+|where\s+\S+\s*(?:[=<>!]|(?:not\s+)?(?:in|like|between)\b|is\s+(?:not\s+)?null))(?!\w))/i;

function isDeterminer(word: string): boolean {
  return new RegExp(`^${DETERMINER}$`, 'i').test(word);
}

/** Three words in a row, or two with a determiner, which no column's expression is. */
function isPhrase(item: string): boolean {
  if (/\b(?:case|as|over|distinct|interval|is|and|or|not|between|like|in)\b/i.test(item)) {
    return new RegExp(String.raw`\b${DETERMINER}\s+[a-z]`, 'i').test(item);
  }
  const words = item.split(/\s+/);
  return (
    words.length > 1 &&
    (isDeterminer(words[0] ?? '') ||
      (words.every((word) => /^[A-Za-z'’-]+$/.test(word)) && words.length > 2))
  );
}
