/**
 * JSON of a client: the body of a request, or a line of a batch.
 *
 * A null counts as absent, because several clients send every optional field as null; only as a
 * message's content it is a value, and in what is the client's own: metadata and JSON schemas.
 */
import { QarrError } from './errors.ts';
import { BODY_LIMITS, isWithinLimits } from './json-limits.ts';
import type { JsonLimits } from './json-limits.ts';

/** Fields whose content is the client's own: what is wrong there shall be said, not left out. */
const TAKEN_AS_THEY_ARE = new Set(['metadata', 'parameters', 'schema']);

/** What a text must have in it somewhere to hold a key that poisons; an escape may be a part of one. */
const MAY_POISON = /__proto__|constructor|\\u/;

/**
 * Throws `invalid_json`, also for keys that would poison prototypes, or `invalid_request` for what
 * holds too much.
 */
export function parseStrictJson(text: string, limits: JsonLimits = BODY_LIMITS): unknown {
  if (!isWithinLimits(text, limits)) {
    const { valuesMax, depthMax } = limits;
    throw new QarrError('invalid_request', {
      message: `The body must hold at most ${valuesMax} values, nested at most ${depthMax} deep.`,
    });
  }
  const value = parse(text);
  if (MAY_POISON.test(text) && isPoisoned(value)) throw new QarrError('invalid_json');
  return withoutNulls(value);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    // Its message quotes the text.
    throw new QarrError('invalid_json', { cause: error });
  }
}

/** Recursion is safe: the depth is limited. */
function isPoisoned(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (Object.hasOwn(value, '__proto__')) return true;
  if (Object.hasOwn(value, 'constructor')) {
    const { constructor: inner } = value as { constructor: unknown };
    if (typeof inner === 'object' && inner !== null && Object.hasOwn(inner, 'prototype')) {
      return true;
    }
  }
  return Object.values(value).some(isPoisoned);
}

function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (typeof value !== 'object' || value === null) return value;
  const fields = Object.entries(value).filter(
    ([name, field]) => field !== null || name === 'content',
  );
  return Object.fromEntries(
    fields.map(([name, field]) => [
      name,
      TAKEN_AS_THEY_ARE.has(name) ? field : withoutNulls(field),
    ]),
  );
}
