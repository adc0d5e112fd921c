/**
 * How much a body may hold, decided from its text: parsing what is too deep or too much would stop
 * the server for tens of milliseconds, and what recurses over the values relies on a limit.
 */

/** A conversation nests 5 deep, the deepest schema of a tool 26. */
const DEPTH_MAX = 32;
/** A very long conversation has some 12,000; checking millions would stop the server for seconds. */
const VALUES_MAX = 100_000;

const QUOTE = 0x22;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;
const OPENERS: ReadonlySet<number> = new Set([0x5b, 0x7b]);
const CLOSERS: ReadonlySet<number> = new Set([0x5d, 0x7d]);
const SPACES: ReadonlySet<number> = new Set([0x20, 0x09, 0x0a, 0x0d]);

export interface JsonLimits {
  readonly depthMax: number;
  readonly valuesMax: number;
}

/** Of the body of a request. */
export const BODY_LIMITS: JsonLimits = { depthMax: DEPTH_MAX, valuesMax: VALUES_MAX };

/** Reads no further than to the limit. Of a text that is no JSON the parser says so. */
export function isWithinLimits(
  json: string,
  { depthMax, valuesMax }: JsonLimits = BODY_LIMITS,
): boolean {
  let depth = 0;
  let values = 1;
  /** A list or an object has begun, and holds nothing so far. */
  let isEmpty = false;

  for (let index = 0; index < json.length; index += 1) {
    const unit = json.charCodeAt(index);
    if (SPACES.has(unit)) continue;
    if (CLOSERS.has(unit)) {
      depth -= 1;
      isEmpty = false;
      continue;
    }
    // Every value but the outermost is the first of its list or object, or follows a comma.
    if (isEmpty || unit === COMMA) values += 1;
    isEmpty = OPENERS.has(unit);
    if (isEmpty) depth += 1;
    if (depth > depthMax || values > valuesMax) return false;
    if (unit === QUOTE) index = endOfText(json, index + 1);
  }
  return true;
}

/** Where the quote stands that ends a text: one with an even number of backslashes before it. */
function endOfText(json: string, from: number): number {
  for (let at = json.indexOf('"', from); at !== -1; at = json.indexOf('"', at + 1)) {
    let before = at;
    while (before > from && json.charCodeAt(before - 1) === BACKSLASH) before -= 1;
    if ((at - before) % 2 === 0) return at;
  }
  return json.length;
}
