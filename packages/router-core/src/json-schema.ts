/**
 * What a client's JSON schema may be: the parameters of a tool, or the form of an answer.
 *
 * Engines compile schemas to grammars, and hostile ones have ended engines: a malformed `type` or
 * `pattern` (GHSA-vrq3-r879-7m65), a regular expression (CVE-2025-48943), a rule that is itself
 * (CVE-2025-57809), depth (CVE-2025-58446). So every keyword that holds schemas is known here, and
 * whatever is not is carried as an annotation, which is what JSON Schema says of it.
 *
 * Nothing here recurses: these functions run on the event loop of an HTTP server.
 */
import { isObject, refProblem } from './json-schema-refs.ts';
import type { Place, SchemaGraph } from './json-schema-refs.ts';

/** Longer ones compile for seconds, in which an engine answers nobody. */
export const SCHEMA_CHARS_MAX = 32_768;
/** Schemas in schemas; OpenAI's own limit is 10. */
export const SCHEMA_DEPTH_MAX = 10;

export const SCHEMA_ERROR = 'must be a JSON schema, which is an object';
export const SCHEMA_DESCRIPTION = 'A JSON schema without regular expressions.';

export type SchemaCheck =
  | { kind: 'fine'; chars: number }
  /** `message` is a sentence without its subject. */
  | { kind: 'wrong'; path: string[]; message: string };

/** A value takes two characters at least: itself, and what separates it from the next. */
const VALUES_MAX = SCHEMA_CHARS_MAX / 2;

const TYPES = ['string', 'number', 'integer', 'boolean', 'object', 'array', 'null'];

/** Regular expressions, and references that cannot be followed here. */
const REFUSED = new Set([
  'pattern',
  'patternProperties',
  'dependencies',
  '$dynamicRef',
  '$recursiveRef',
  // A regular expression for white space, in one of vLLM's backends.
  'x-guidance',
]);

/** What a keyword holds: a schema, a list of them, schemas by name, or one schema or a list. */
type Holds = 'schema' | 'list' | 'named' | 'schema or list';

const HOLDS: ReadonlyMap<string, Holds> = new Map([
  ...keywords('schema', 'additionalProperties additionalItems unevaluatedProperties'),
  ...keywords('schema', 'unevaluatedItems contains propertyNames contentSchema not if then else'),
  ...keywords('list', 'prefixItems anyOf oneOf allOf'),
  ...keywords('named', 'properties $defs definitions dependentSchemas'),
  ...keywords('schema or list', 'items'),
]);

/** Keywords whose schemas are for the same value, not for one within it. */
const IN_PLACE = new Set(['anyOf', 'oneOf', 'allOf', 'not', 'if', 'then', 'else']);

interface Visit {
  readonly value: unknown;
  readonly place: Place;
  readonly depth: number;
  readonly as: 'schema' | 'data';
}

/** Checks a schema. What is far too large is read no further than until that is known. */
export function checkJsonSchema(root: unknown): SchemaCheck {
  if (!isObject(root)) return wrong(TOP, SCHEMA_ERROR);
  const graph: SchemaGraph = { root, inPlace: new Map(), refs: [] };
  const ahead: Visit[] = [{ value: root, place: TOP, depth: 0, as: 'schema' }];

  for (let visited = 1; ; visited += 1) {
    const next = ahead.pop();
    if (next === undefined) break;
    if (next.depth > SCHEMA_DEPTH_MAX) return wrong(TOP, TOO_DEEP);
    const left = VALUES_MAX - visited - ahead.length;
    if (left < 0 || isLonger(next.value, left)) return wrong(TOP, TOO_LONG);
    const problem = next.as === 'data' ? visitData(next, ahead) : visitSchema(next, ahead, graph);
    if (problem !== null) return problem;
  }

  const badRef = refProblem(graph);
  if (badRef !== null) return wrong(badRef.place, badRef.message);
  const chars = JSON.stringify(root).length;
  return chars > SCHEMA_CHARS_MAX ? wrong(TOP, TOO_LONG) : { kind: 'fine', chars };
}

const TOP: Place = { parent: null, key: '' };
const TOO_LONG = `must have at most ${SCHEMA_CHARS_MAX} characters as JSON`;
const TOO_DEEP = `must nest at most ${SCHEMA_DEPTH_MAX} deep`;

function visitSchema(visit: Visit, ahead: Visit[], graph: SchemaGraph): SchemaCheck | null {
  const { value: schema, place, depth } = visit;
  // "Anything" and "nothing".
  if (typeof schema === 'boolean') return null;
  if (!isObject(schema)) return wrong(place, 'must be a JSON schema');
  const sameValue: object[] = [];
  graph.inPlace.set(schema, sameValue);

  for (const [key, value] of Object.entries(schema)) {
    const at: Place = { parent: place, key };
    if (REFUSED.has(key)) return wrong(at, 'is not supported in a schema');
    const message = keywordProblem(key, value);
    if (message !== null) return wrong(at, message);
    if (key === '$ref') graph.refs.push({ from: schema, to: String(value), place: at });

    const holds = HOLDS.get(key);
    if (holds === undefined) {
      ahead.push({ value, place: at, depth, as: 'data' });
      continue;
    }
    if (isLonger(value, VALUES_MAX)) return wrong(TOP, TOO_LONG);
    const inner = schemasIn(holds, { value, place: at });
    if (inner === null) return wrong(at, 'must hold JSON schemas');
    for (const found of inner) {
      ahead.push({ ...found, depth: depth + 1, as: 'schema' });
      if (IN_PLACE.has(key) && isObject(found.value)) sameValue.push(found.value);
    }
  }
  return null;
}

function visitData({ value, place, depth }: Visit, ahead: Visit[]): null {
  if (typeof value !== 'object' || value === null) return null;
  // Their places are never told.
  for (const inner of Object.values(value)) {
    ahead.push({ value: inner, place, depth: isContainer(inner) ? depth + 1 : depth, as: 'data' });
  }
  return null;
}

interface Found {
  readonly value: unknown;
  readonly place: Place;
}

/** The schemas that a keyword holds; null where it holds something else. */
function schemasIn(holds: Holds, { value, place }: Found): Found[] | null {
  switch (holds) {
    case 'schema':
      return [{ value, place }];
    case 'schema or list':
      return Array.isArray(value) ? schemasIn('list', { value, place }) : [{ value, place }];
    case 'list':
      return Array.isArray(value) ? placed(value, place) : null;
    case 'named':
      return isObject(value) ? placed(value, place) : null;
    default:
      return holds satisfies never;
  }
}

function placed(values: object, parent: Place): Found[] {
  return Object.entries(values).map(([key, value]) => ({ value, place: { parent, key } }));
}

/** Of the keywords that engines have failed on when their value was of another kind. */
function keywordProblem(key: string, value: unknown): string | null {
  switch (key) {
    case 'type':
      return isType(value) || (Array.isArray(value) && value.length > 0 && value.every(isType))
        ? null
        : `must be one of ${TYPES.join(', ')}, or a list of them`;
    case 'required':
      return Array.isArray(value) && value.every((name) => typeof name === 'string')
        ? null
        : 'must be a list of names';
    case 'enum':
      return Array.isArray(value) && value.length > 0 ? null : 'must be a list of values';
    case '$ref':
      return typeof value === 'string' && value.startsWith('#')
        ? null
        : 'must lead to a schema within this one: #/…';
    default:
      return null;
  }
}

function isType(value: unknown): boolean {
  return typeof value === 'string' && TYPES.includes(value);
}

/** Whether a list or an object has more than so many values; it is read no further than that. */
function isLonger(value: unknown, max: number): boolean {
  if (Array.isArray(value)) return value.length > max;
  return isContainer(value) && Object.keys(value).length > max;
}

function isContainer(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

function wrong(place: Place, message: string): SchemaCheck {
  const path: string[] = [];
  for (let at: Place | null = place; at !== null && at.parent !== null; at = at.parent) {
    path.push(at.key);
  }
  return { kind: 'wrong', path: path.toReversed(), message };
}

function keywords(holds: Holds, names: string): [string, Holds][] {
  return names.split(' ').map((name) => [name, holds]);
}
