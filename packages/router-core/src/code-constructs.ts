/**
 * The constructs of programming languages that may open a line, as a table.
 *
 * What is told by the shape of a whole line is in `line-shapes.ts`, SQL in `sql-statement.ts`.
 */
import { matchesAt } from './code-lines.ts';
import { DETERMINER } from './determiners.ts';

/** Whether one of the constructs stands there. */
export function opensConstruct(text: string, at: number): boolean {
  const pattern = CONSTRUCT_BY_UNIT[text.charCodeAt(at)];
  return pattern !== undefined && matchesAt(pattern, text, at);
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
  '(?:os|sys|re|json|math|time|random|csv|logging|typing|datetime|collections|itertools|functools|subprocess|threading|multiprocessing|asyncio|numpy|pandas|torch|requests|tensorflow|matplotlib|sklearn|scipy|flask|django|socket|pathlib|argparse|unittest|pytest|string|copy|pickle|hashlib|shutil|glob|uuid|io|struct|heapq|bisect|urllib|statistics|traceback|dataclasses|contextlib|tempfile|operator|decimal|sqlite3|tkinter|turtle|pygame|redis|yaml|boto3|fastapi|pydantic|sqlalchemy|httpx|aiohttp|transformers|seaborn|plotly|nltk|spacy|cv2|psycopg2|UIKit|Foundation|SwiftUI)';
/** Type parameters, one level of them nested. */
const GENERIC = String.raw`<[^<>\r\n]{0,100}(?:<[^<>\r\n]{0,100}>[^<>\r\n]{0,40}){0,3}>`;
const C_TYPE =
  '(?:void|int|char|float|double|long|short|bool|boolean|size_t|unsigned|auto|byte|string|String)';

/**
 * The constructs by their first characters. Keep rows strict: above each group stands what it must
 * not match. In every row a repetition is bounded, and followed by something it cannot match: two
 * neighbours that can share a text multiply their work.
 */
const CONSTRUCTS: readonly (readonly [firsts: string, source: string])[] = [
  // Python, Ruby: not "def leppard (the band)", "class of goods", "class A: economy seats".
  ['d', String.raw`def {1,4}(?:self\.)?[\w.]{1,80}[?!]?\(`],
  ['d', String.raw`def {1,4}(?:self\.\w|\w{1,80}[?!]?${NEXT_LINE}(?<=[ \t])\S)`],
  [
    'd',
    String.raw`def {1,4}\w{1,80} {1,4}\((?:[ \t]*\*{0,2}\w{1,80}[ \t]*(?:[,:=][^)\r\n]{0,200})?)?\)[ \t]*(?:->[^:\r\n]{0,100})?:[ \t]*(?:[\r\n#]|$|return\b|pass\b)`,
  ],
  ['d', String.raw`(?:defmodule|defp) {1,4}\w|defer {1,4}(?:func\(|\w{1,80}\.\w{1,80}\()`],
  [
    'a',
    String.raw`async {1,4}(?:def|function\*?|fn|fun) {1,4}${ID}(?:[(<]| {1,4}${PARAMETERS} {0,4}[:{])`,
  ],
  ['a', String.raw`async {1,4}function\*? {0,4}\([^)\r\n]{0,200}\) {0,4}\{`],
  [
    'acdefops',
    String.raw`(?:export {1,4})?(?:default {1,4})?(?:(?:abstract|final|data|sealed|open|partial|static|declare) {1,4}){0,3}class {1,4}(?:${ID}(?:${GENERIC})?(?!\(e?s\))(?:${PARAMETERS})? {0,4}(?:(?<=[\w)]):[ \t]{0,20}(?:pass\b|\.\.\.|(?:public|private|protected) |${NEXT_LINE}(?<=[ \t])[^-*\d\s])|(?<=\)):${END}|\{|:[^{}\r\n]{1,100}\{|${EXTENDS}(?:[A-Z]|[^{}\r\n]{1,100}\{)|< {0,4}[A-Z]\w)|(?!\d)[a-z]{0,80}[A-Z_\d]\w{0,80}(?::${END}|\([^):\r\n]{0,200}: [^)\r\n]{0,200}\)|${NEXT_LINE}\{)|[a-z]:${END})`,
  ],
  ['i', String.raw`if {1,4}__name__\b`],
  [
    'ersw',
    String.raw`with {1,4}open\(|except {1,4}\(?\w{0,60}(?:Error|Exception)\b|raise {1,4}\w{0,60}(?:Error|Exception)(?:\(|${END})|elif {1,4}[^\r\n:]{1,200}:${END}|self\.\w{1,80} {0,4}[-+*\/]?= {0,4}\S`,
  ],
  ['f', String.raw`for {1,4}[\w, ]{1,40} in {1,4}(?:range|enumerate|zip)\(`],
  ['w', String.raw`while {1,4}(?:True|not \w{1,40}) {0,4}:${END}`],
  [
    'eiw',
    String.raw`(?:if|elif|while) {1,4}[^:=!<>\r\n]{1,120}(?:[=!<>]=|[<>])[^:\r\n]{1,120}:${NEXT_LINE}(?<=[ \t])[^-*\d\s]`,
  ],
  [
    'f',
    String.raw`for {1,4}\w{1,40}(?:, ?\w{1,40}){0,3} in {1,4}[\w.]{1,80}(?:\([^()\r\n]{0,100}\))?:${NEXT_LINE}(?<=[ \t])[^-*\d\s]`,
  ],
  ['t', String.raw`try:${NEXT_LINE}(?<=[ \t])[^-*\d\s]`],
  // Imports: not "import duties rose", "from the import of goods", "- import taxes".
  ['i', String.raw`import {1,4}(?:${MODULE}|\w{1,2})(?:,[\w ,.]{1,200})?(?:${END}|;)`],
  ['i', String.raw`import {1,4}[\w.]{1,80} as \w{1,80}(?:,[\w ,.]{1,200})?${END}`],
  [
    'i',
    String.raw`import {1,4}(?:static {1,4})?\w{1,80}(?:\.\w{1,80}){1,20}(?:\.\*)?(?:${END}| {0,4}[({])`,
  ],
  ['i', String.raw`import {1,4}[a-z0-9]{1,40}_\w{1,80}${END}`],
  [
    'i',
    String.raw`import {1,4}\w{1,80}${NEXT_LINE}(?:\r?\n[ \t]{0,80}){0,2}(?:[\w.]{1,80}\(|[\w.[\]'"]{1,80} {0,4}[-+*/]?= {0,4}\S|import {1,4}\w{1,80}${END}|from {1,4}[\w.]{1,80} import )`,
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
    String.raw`(?:export {1,4})?(?:default {1,4})?function\*? {0,4}(?:${ID}(?:${GENERIC})?\([^)\r\n]{0,300}(?:[\r\n]|$|\)[ \t]*(?:[:{)]|=>|return\b|(?<!\(e?s\))${END}))|(?:${ID} {1,4})?\([^)\r\n]{0,300}\)[ \t]*\{)`,
  ],
  [
    'ce',
    String.raw`(?:export {1,4})?const {1,4}(?:[{[]|[\w$*&<>\u00aa-\u1fff]{1,80}(?: {1,4}[*&]{0,2}${ID})?(?:\[\w{0,40}\])? {0,4}(?::[^=\r\n]{1,120})?=)`,
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
    // Nor "let x = 5 and find 2x", "let x = the number of apples".
    String.raw`(?:export {1,4})?let {1,4}${ID} {0,4}(?::[^=\r\n]{1,120})?=(?![^;"'\x60({[\r\n]{0,80}\b(?:and|be|find|what|then|compute|calculate|evaluate|solve|show|prove|where|if) | {0,4}(?:${DETERMINER} [a-z]|[a-z]{1,20} of ))`,
  ],
  [
    'e',
    String.raw`export {1,4}(?:default {1,4})?(?:\{|\* {1,4}(?:from|as)\b|\[|async {1,4}function|[A-Z]\w{0,80};)`,
  ],
  [
    'eit',
    String.raw`(?:export {1,4})?(?:declare {1,4})?(?:interface|type|enum) {1,4}${ID}(?:${GENERIC})? {0,4}(?:= {0,4}(?:[\x22'([|]|(?:string|number|boolean|unknown|never)\b|[^\r\n]{0,120}[;|{<&])|\{|struct {0,4}\{|interface {0,4}\{|${EXTENDS}[A-Z])`,
  ],
  ['r', String.raw`require(?:_once|_relative)? ?(?:\( ?['"]|['"][^'"\s]{1,200}['"]${END})`],
  ['c', String.raw`console\.(?:log|error|warn|info|debug)\(`],
  ['m', String.raw`module\.exports\b`],
  // C, C++: not "#include me", "double check (again)", "int. main office (London)".
  ['#', String.raw`#[ \t]{0,8}(?:include|import)[ \t]{0,8}[<"][\w./+-]{1,200}[>"]`],
  [
    '#',
    String.raw`#[ \t]{0,8}(?:define[ \t]{1,8}(?:(?<=#define[ \t]{1,8})[A-Z_][A-Z0-9_]{0,80}\b|\w{1,80}(?:\(| \d|${END}))|ifn?def[ \t]{1,8}\w|pragma[ \t]{1,8}\w)`,
  ],
  ['i', String.raw`int {1,4}main {0,4}\(`],
  [
    'bciu',
    String.raw`(?:int|char|bool|unsigned(?: int)?) {0,4}[*&]{0,2} {0,4}${ID}(?:${PARAMETERS}|\[\w{0,40}\])?;${END}`,
  ],
  ['c', String.raw`c(?:out|err) {0,4}<<|cin {0,4}>>`],
  [
    'abcdefilsuvS',
    String.raw`(?:(?:static|inline|unsigned|extern|constexpr|virtual|final) {1,4}){0,3}${C_TYPE}(?:\[\]|\*)? {1,4}[*&]{0,2}${ID}(?:[ \t]{0,4}${PARAMETERS}[ \t]{0,4}(?:const {0,4})?(?:${NEXT_LINE})?\{|(?:\[\w{0,40}\])? {0,4}= {0,4}[^;\r\n]{1,200};)`,
  ],
  ['t', String.raw`template {0,4}<|typedef {1,4}\w{1,80} [^;\r\n]{1,200};`],
  [
    'emnst',
    String.raw`(?:struct|enum class|union|namespace|trait|mod) {1,4}[\w:.\\]{1,80}(?:${GENERIC})? {0,4}(?:\{|${NEXT_LINE}\{)|(?:struct|namespace|mod) {1,4}[\w:.\\]{1,80};${END}`,
  ],
  [
    'u',
    String.raw`using {1,4}(?:namespace {1,4}\w|(?:static {1,4}|\w{1,80} {0,4}= {0,4})?(?:[A-Z]\w{0,80}|\w{1,80}(?:\.|::)\w{1,80})(?:(?:\.|::)\w{1,80}){0,20};${END})`,
  ],
  ['i', String.raw`if {1,4}[^=!<>{\r\n]{1,120}(?:[=!<>]=|[<>]|= )[^{\r\n]{1,120}\{${END}`],
  [
    'r',
    String.raw`return {1,4}(?:\d{1,20}|true|false|null|nullptr|undefined|\w{1,80}(?: {0,4}[-+*\/%.&|]{1,2} {0,4}\w{1,80}){1,8});${END}`,
  ],
  ['s', String.raw`std::\w`],
  ['u', String.raw`use {1,4}(?:strict|warnings);`],
  ['e', String.raw`extern crate \w|echo {1,4}["'$][^;\r\n]{0,200};${END}`],
  ['p', String.raw`puts {1,4}(?:"[^"\r\n]{0,200}"|'[^'\r\n]{0,200}')${END}`],
  ['a', String.raw`attr_(?:accessor|reader|writer) {1,4}:`],
  ['fisw', String.raw`(?:for|if|switch|while) {0,4}\([^{\r\n]{1,200}\) {0,4}\{`],
  [
    'f',
    String.raw`for {0,4}\((?:(?:int|let|var|const|auto|size_t)[ &*]{1,4}[^()=:\r\n]{1,60}(?:[=:]|(?<= (?:of|in)) )|;;)|foreach {0,4}\((?:\w{1,40} \w{1,80} in |\$\w{1,80} as \$)`,
  ],
  ['p', String.raw`print(?:f|ln)? ?\( ?[f]?["']|print\((?!e?s\))[^)\r\n]{0,200}\)${END}`],
  ['p', String.raw`println!\(`],
  // Rust, Go, Swift, Kotlin: not "use the door", "package holidays", "fun (and games)", "pub crawl".
  [
    'efp',
    String.raw`(?:pub(?:\(\w{1,20}\))? {1,4})?(?:(?:async|unsafe|const|extern "C") {1,4}){0,2}fn {1,4}\w{1,80}(?:[(<]| {1,4}${PARAMETERS} {0,4}(?:\{|->))`,
  ],
  [
    'p',
    String.raw`pub(?:\(\w{1,20}\))? {1,4}(?:(?:struct|enum|trait|mod) {1,4}\w{1,80}(?:${GENERIC})? {0,4}[{(;]|use {1,4}\w{1,80}::|(?:const|static|type) {1,4}\w{1,80} {0,4}[:=])`,
  ],
  ['u', String.raw`use {1,4}\\?\w{1,80}(?:::|\\)[\w:{*\\]`],
  [
    'i',
    String.raw`impl(?:${GENERIC})? {1,4}(?:[\w:]{1,80}::)?[A-Z]\w{0,80}(?:${GENERIC})? {0,4}(?:\{|for {1,4}[A-Z&<]|${END})`,
  ],
  [
    '#',
    String.raw`#!?\[(?:derive|cfg|test|allow|deny|warn|inline|must_use|no_mangle|repr|serde|tokio)\b`,
  ],
  ['m', String.raw`macro_rules! |match {1,4}[\w.&()]{1,80} {0,4}\{${END}`],
  ['f', String.raw`func {1,4}(?:\([^()\r\n]{1,80}\) {0,4})?${ID} {0,4}[(<[]`],
  ['f', String.raw`fun {1,4}(?:<[^>\r\n]{0,100}> {0,4})?[\w.]{1,80}${PARAMETERS} {0,4}[:{=]`],
  ['p', String.raw`package {1,4}(?:main${END}|\w{1,80}(?:\.\w{1,80}){1,20}${END})`],
  [
    'ceops',
    String.raw`(?:case class|contract|extension|object|protocol|struct) {1,4}[A-Z]\w{0,80}(?:${GENERIC})?(?:${PARAMETERS}${END}|(?:(?::| is| extends) [\w.:<>, ]{1,120})? {0,4}\{${END})`,
  ],
  ['v', String.raw`va[lr] {1,4}${ID} {0,4}(?::[^=\r\n{]{1,80}(?:=|\{${END})|=)`],
  ['f', String.raw`fmt\.(?:Print|Sprint|Fprint|Errorf)`],
  ['p', String.raw`pragma solidity\b`],
  // Java, C#: not "public class size debates", "private schools near me (cheap)", "public opinion".
  [
    'aip',
    String.raw`(?:public|private|protected|internal) {1,4}(?:(?:static|final|abstract|sealed|override|virtual|async|readonly|partial|synchronized|const) {1,4}){0,4}(?:(?:class|interface|enum|record|struct) {1,4}(?:[A-Z]\w|\w{1,80} {0,4}(?:[{<(]|${EXTENDS}\w))|[\w.]{1,80}(?:${GENERIC}|\[\])?\??(?: {1,4}${ID})?(?!\(e?s\))\((?![a-z]{1,20}\)(?! {0,4}[{:;]))|(?:${C_TYPE}|[A-Z]\w{0,80}(?:${GENERIC})?)(?:\[\])? {1,4}${ID} {0,4}(?:[;{]|=[^=])|${ID}\??: {0,4}\w{1,80}(?:${GENERIC})?(?:\[\])? {0,4}(?:;|=[^=]))`,
  ],
  [
    'p',
    String.raw`(?:public|private|protected) {1,4}(?:static {1,4}(?:final|void|int|async|readonly|const|String)|readonly|override) {1,4}\w`,
  ],
  ['S', String.raw`System\.(?:out|err)\.print`],
  [
    'ABCDEFGHIJKLMNOPQRSTUVWXYZ',
    String.raw`[A-Z]\w{0,80}(?:${GENERIC})?(?:\[\])? {1,4}${ID} {0,4}= {0,4}new {1,4}[A-Z]\w{0,80}[(<[]`,
  ],
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
  ['D', String.raw`Dim {1,4}\w{1,80}(?:\(\w{0,20}\))? As \w`],
  ['l', String.raw`library\((?!ies|e?s\))[\w.]{1,40}\)${END}`],
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
    String.raw`module {1,4}[A-Z][\w.]{0,80}(?: {0,4}\([^)\r\n]{0,200}\))? {1,4}where${END}|main {0,4}(?::: {0,4}IO\b|= do${END})`,
  ],
];

const CONSTRUCT_BY_UNIT = byFirstUnit();

/**
 * One sticky pattern for each first character, so that most lines cost one look into this table.
 * Where the table repeats a blank, a tab will do.
 */
function byFirstUnit(): readonly (RegExp | undefined)[] {
  const sources: string[][] = [];
  for (const [firsts, source] of CONSTRUCTS) {
    for (const first of firsts)
      (sources[first.charCodeAt(0)] ??= []).push(
        `(?:${source.replaceAll(' {', String.raw`[ \t]{`)})`,
      );
  }
  return Array.from(sources, (alternatives) =>
    alternatives === undefined ? undefined : new RegExp(alternatives.join('|'), 'y'),
  );
}
