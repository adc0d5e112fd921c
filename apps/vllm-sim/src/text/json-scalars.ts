import type { JsonShape } from './json-shape.ts';

type Schema = Readonly<Record<string, unknown>>;
type Refused = { readonly kind: 'refused'; readonly reason: string };

/** Characters that a string may demand: more would only be slow. */
const CHARS_MIN_MAX = 10_000;
const FORMATS: Readonly<Record<string, readonly string[]>> = {
  'date-time': ['2026-01-31T12:30:00Z', '2025-07-04T08:15:30Z'],
  date: ['2026-01-31', '2025-07-04'],
  time: ['12:30:00Z', '08:15:30Z'],
  email: ['reader@example.com', 'teacher@example.org'],
  uri: ['https://example.com/river', 'https://example.org/garden'],
  uuid: ['3f2b8c1e-9d47-4a6b-8e05-1c7d2f9a6b34'],
};

/** The shape of a string, an integer or a number with the bounds of its schema. */
export function scalarShape(schema: Schema, type: unknown): JsonShape | Refused {
  if (type === 'string') return textShape(schema);
  return type === 'integer' ? integerShape(schema) : numberShape(schema);
}

function textShape(schema: Schema): JsonShape | Refused {
  const charsMin = bound(schema, 'minLength') ?? 0;
  const charsMax = bound(schema, 'maxLength');
  if (charsMin > (charsMax ?? Infinity)) return refused('minLength above maxLength');
  if (charsMin > CHARS_MIN_MAX) return refused(`minLength above ${CHARS_MIN_MAX}`);
  const format = String(schema['format']);
  if (!Object.hasOwn(FORMATS, format)) return { kind: 'text', charsMin, charsMax };
  const examples = FORMATS[format]?.filter(
    (example) => example.length >= charsMin && example.length <= (charsMax ?? Infinity),
  );
  if (examples === undefined || examples.length === 0) {
    return refused(`format ${format} of this length`);
  }
  return { kind: 'literal', texts: examples.map((example) => JSON.stringify(example)) };
}

function integerShape(schema: Schema): JsonShape | Refused {
  const above = bound(schema, 'exclusiveMinimum') ?? -Infinity;
  const below = bound(schema, 'exclusiveMaximum') ?? Infinity;
  const range = rangeOf(
    Math.max(Math.ceil(bound(schema, 'minimum') ?? -Infinity), Math.floor(above) + 1),
    Math.min(Math.floor(bound(schema, 'maximum') ?? Infinity), Math.ceil(below) - 1),
  );
  return range.min > range.max ? refused('an empty range') : { kind: 'integer', ...range };
}

function numberShape(schema: Schema): JsonShape | Refused {
  const above = bound(schema, 'exclusiveMinimum') ?? -Infinity;
  const below = bound(schema, 'exclusiveMaximum') ?? Infinity;
  const range = rangeOf(
    Math.max(bound(schema, 'minimum') ?? -Infinity, above),
    Math.min(bound(schema, 'maximum') ?? Infinity, below),
  );
  const single = range.min === range.max;
  const empty = range.min > range.max || (single && (range.min === above || range.max === below));
  return empty ? refused('an empty range') : { kind: 'number', ...range };
}

/** Where a side is unbounded, it lies a hundred away from the other one. */
function rangeOf(lowest: number, highest: number): { min: number; max: number } {
  const min = lowest === -Infinity ? Math.min(0, highest - 100) : lowest;
  return { min, max: highest === Infinity ? min + 100 : highest };
}

function bound(schema: Schema, keyword: string): number | undefined {
  const value = schema[keyword];
  return typeof value === 'number' ? value : undefined;
}

function refused(reason: string): Refused {
  return { kind: 'refused', reason };
}
