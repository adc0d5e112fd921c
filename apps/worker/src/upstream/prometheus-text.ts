/**
 * Reads the Prometheus text format (version 0.0.4) in one pass, and only what is asked for. What it
 * does not understand it leaves out: a page is another program's, and programs change.
 * https://prometheus.io/docs/instrumenting/exposition_formats/
 */

export interface Series {
  readonly labels: ReadonlyMap<string, string>;
  readonly value: number;
}

const LABELS_MAX = 100;

/** All series of these names that have a finite value, by name. */
export function readSeries(page: string, names: ReadonlySet<string>): Map<string, Series[]> {
  const found = new Map<string, Series[]>();
  for (let start = 0; start < page.length;) {
    const newline = page.indexOf('\n', start);
    const end = newline === -1 ? page.length : newline;
    const name = nameAt(page, start, end);
    if (names.has(name)) {
      const series = readLine(page.slice(start + name.length, end));
      if (series !== null) {
        const known = found.get(name);
        if (known === undefined) found.set(name, [series]);
        else known.push(series);
      }
    }
    start = end + 1;
  }
  return found;
}

/** What comes before the labels or the value. A comment's is `#`. */
function nameAt(page: string, start: number, end: number): string {
  let at = start;
  while (at < end && !'{ \t\r'.includes(page[at] ?? '')) at += 1;
  return page.slice(start, at);
}

/** Of a line's rest, such as `{engine="0"} 12.0 1700000000`. */
function readLine(rest: string): Series | null {
  const labels = new Map<string, string>();
  let at = skipSpace(rest, 0);
  if (rest[at] === '{') {
    at = readLabels(rest, at + 1, labels);
    if (at === -1) return null;
  }
  const [text = ''] = rest.slice(at).trim().split(/\s/, 1);
  const value = text === '' ? Number.NaN : Number(text);
  return Number.isFinite(value) ? { labels, value } : null;
}

/** Returns where the labels have ended, or -1 where they are broken. */
function readLabels(text: string, from: number, labels: Map<string, string>): number {
  let at = from;
  while (labels.size < LABELS_MAX) {
    at = skipSpace(text, at);
    if (text[at] === '}') return at + 1;
    const equals = text.indexOf('=', at);
    if (equals === -1) return -1;
    const quote = skipSpace(text, equals + 1);
    if (text[quote] !== '"') return -1;
    let value = '';
    let next = quote + 1;
    while (next < text.length && text[next] !== '"') {
      const isEscaped = text[next] === '\\';
      if (isEscaped) next += 1;
      value += isEscaped && text[next] === 'n' ? '\n' : (text[next] ?? '');
      next += 1;
    }
    if (next >= text.length) return -1;
    labels.set(text.slice(at, equals).trim(), value);
    at = skipSpace(text, next + 1);
    if (text[at] === ',') at += 1;
  }
  return -1;
}

function skipSpace(text: string, from: number): number {
  let at = from;
  while (text[at] === ' ' || text[at] === '\t') at += 1;
  return at;
}
