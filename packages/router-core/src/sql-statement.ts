/** SQL statements, told from English that begins with the same verbs. */
import { matchesAt } from './code-lines.ts';
import { DETERMINER } from './determiners.ts';

/** Whether something stands there that begins like a statement, which is cheap to ask. */
export function beginsLikeSql(text: string, at: number): boolean {
  return SQL_FIRST_LETTERS.includes(text[at] ?? ' ') && matchesAt(SQL_OPENING, text, at);
}

/** Whether what begins like a statement there is one. */
export function isSqlAt(text: string, at: number): boolean {
  return isSql(text.slice(at, at + SQL_CHARS_MAX));
}

/** Characters of one statement that are looked at. */
const SQL_CHARS_MAX = 1000;

const SQL_FIRST_LETTERS = 'sSiIuUdDcCaAtTwWeEmMgG';
const SQL_OPENING =
  /(?:select|insert into|update|delete from|create|alter table|drop table|truncate table|with (?:recursive )?\w{1,80}\s{0,4}(?:as|\(\w)|explain|merge into|grant)\b/iy;

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
  sql('', String.raw`MERGE INTO ${SQL_NAME} (?:(?:AS )?\w{1,80} )?USING\b`),
  sql('', String.raw`GRANT [A-Z, ]{1,100}ON ${SQL_NAME} TO\b`),
  sql('i', String.raw`with (?:recursive )?\w{1,80}\s*(?:\([^()]{1,200}\)\s*)?as\s*\(\s*select\b`),
];

function sql(flags: '' | 'i', source: string): RegExp {
  return new RegExp(String.raw`^${source.replaceAll(' ', String.raw`\s+`)}`, flags);
}

function isSql(statement: string): boolean {
  const text = statement.replace(/^explain\s+(?:analyze\s+)?/i, '');
  if (/^select\b/i.test(text)) return isSelect(text);
  return SQL_STATEMENTS.some((pattern) => pattern.test(text));
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
  if (table === undefined) return false;
  // "select * from a join b": an article, but never after a star.
  if (isDeterminer(table) && columns !== '*') return false;

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

const DETERMINER_ALONE = new RegExp(`^${DETERMINER}$`, 'i');
const DETERMINER_AND_NOUN = new RegExp(String.raw`\b${DETERMINER}\s+[a-z]`, 'i');

function isDeterminer(word: string): boolean {
  return DETERMINER_ALONE.test(word);
}

/** Three words in a row, or two with a determiner, which no column's expression is. */
function isPhrase(item: string): boolean {
  if (/\b(?:case|as|over|distinct|interval|is|and|or|not|between|like|in)\b/i.test(item)) {
    return DETERMINER_AND_NOUN.test(item);
  }
  const words = item.split(/\s+/);
  return (
    words.length > 1 &&
    (isDeterminer(words[0] ?? '') ||
      (words.every((word) => /^[A-Za-z'’-]+$/.test(word)) && words.length > 2))
  );
}
