/** The little of XML in which S3-compatible stores answer: elements without attributes, and text. */

/** The text of the first element of this name; null where there is none. */
export function textIn(xml: string, name: string): string | null {
  const text = between(xml, name, 0)?.text;
  return text === undefined ? null : unescaped(text);
}

/** What is in each element of this name. */
export function* elementsIn(xml: string, name: string): Generator<string> {
  for (let at = 0; ;) {
    const found = between(xml, name, at);
    if (found === null) return;
    yield found.text;
    at = found.end;
  }
}

function between(xml: string, name: string, from: number): { text: string; end: number } | null {
  const [opening, closing] = [`<${name}>`, `</${name}>`];
  const start = xml.indexOf(opening, from);
  const end = start === -1 ? -1 : xml.indexOf(closing, start);
  if (end === -1) return null;
  return { text: xml.slice(start + opening.length, end), end: end + closing.length };
}

function unescaped(text: string): string {
  return text
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll(/&quot;|&#34;/g, '"')
    .replaceAll(/&apos;|&#39;/g, "'")
    .replaceAll('&amp;', '&');
}
