/** The `Prefer` header (RFC 7240), of which `wait` is understood. Others are ignored, as it asks. */
import { QarrError } from '@qarr/router-core';
import type { IncomingMessage } from 'node:http';

/** A token, or a quoted string that may hold commas and semicolons. */
const WORD = String.raw`[!#$%&'*+.^_\`|~\w-]+|"(?:[^"\\]|\\.)*"`;
/** What begins a preference or one of its parameters: `name`, or `name=value`. */
const PART = new RegExp(
  String.raw`\s*(?:(?<name>[!#$%&'*+.^_\`|~\w-]+)\s*(?:=\s*(?<value>${WORD})?)?)?\s*(?<end>[,;]|$)`,
  'y',
);
/** More than a day is a mistake; it is bounded by the server's own limit in any case. */
const SECONDS = /^\d{1,9}$/;

/**
 * For how many seconds the client prefers to wait; undefined where it does not say. Throws where it
 * says so in a way that is not valid: to answer at once would look as if the job took long.
 */
export function waitPreferred(
  request: Pick<IncomingMessage, 'headersDistinct'>,
  { waitMsMax }: { waitMsMax: number },
): number | undefined {
  const header = request.headersDistinct['prefer']?.join(',');
  // The first one counts.
  const value = header === undefined ? undefined : preferences(header).get('wait');
  if (value === undefined) return undefined;
  const secondsMax = Math.floor(waitMsMax / 1_000);
  if (!SECONDS.test(value)) {
    throw new QarrError('invalid_request', {
      param: 'Prefer',
      message: `The wait of Prefer must be a whole number of seconds, as in wait=10; at most ${secondsMax} count.`,
    });
  }
  return Math.min(Number(value), secondsMax);
}

/** By their names in lower case. What cannot be read ends the list: it is a preference, no order. */
function preferences(header: string): Map<string, string> {
  const found = new Map<string, string>();
  let isParameter = false;
  PART.lastIndex = 0;
  while (PART.lastIndex < header.length) {
    const groups = PART.exec(header)?.groups;
    if (groups === undefined) break;
    const { name, value = '', end } = groups;
    const key = name?.toLowerCase();
    if (key !== undefined && !isParameter && !found.has(key)) found.set(key, unquoted(value));
    isParameter = end === ';';
  }
  return found;
}

function unquoted(word: string): string {
  return word.startsWith('"') ? word.slice(1, -1).replaceAll(/\\(.)/g, '$1') : word;
}
