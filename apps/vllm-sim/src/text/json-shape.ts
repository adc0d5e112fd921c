/** What a JSON value has to look like: a schema, reduced to what decides how a value is written. */
export type JsonShape =
  /** One of these JSON texts. */
  | { readonly kind: 'literal'; readonly texts: readonly string[] }
  | { readonly kind: 'text'; readonly charsMin: number; readonly charsMax: number | undefined }
  | { readonly kind: 'integer'; readonly min: number; readonly max: number }
  /** Between the bounds; whether they belong to it does not matter, they are never written. */
  | { readonly kind: 'number'; readonly min: number; readonly max: number }
  | {
      readonly kind: 'list';
      /** The shapes of the first items; the others are like `rest`. */
      readonly first: readonly JsonShape[];
      readonly rest: JsonShape;
      readonly itemsMin: number;
      readonly itemsMax: number | undefined;
    }
  | {
      readonly kind: 'object';
      readonly properties: readonly { name: string; shape: JsonShape; required: boolean }[];
    }
  /** One of these; the first where size allows it. */
  | { readonly kind: 'choice'; readonly options: readonly JsonShape[] }
  /** Another shape of the same schema, perhaps the one it stands in. */
  | {
      readonly kind: 'reference';
      readonly target: () => JsonShape;
      /** `leastValues` of the target. */
      readonly leastValues: () => number;
    };

/** Any JSON value will do. */
export const ANY_VALUE: JsonShape = { kind: 'text', charsMin: 0, charsMax: undefined };

/** Any JSON object will do. */
export const ANY_OBJECT: JsonShape = {
  kind: 'object',
  properties: [
    { name: 'title', shape: ANY_VALUE, required: true },
    { name: 'count', shape: { kind: 'integer', min: 0, max: 100 }, required: true },
    {
      name: 'parts',
      shape: { kind: 'list', first: [], rest: ANY_VALUE, itemsMin: 1, itemsMax: 3 },
      required: false,
    },
  ],
};

/**
 * How many values one of this shape holds at the least, itself included: infinite for a shape that
 * must contain itself, of which no finite value exists.
 */
export function leastValues(shape: JsonShape): number {
  switch (shape.kind) {
    case 'literal':
    case 'text':
    case 'integer':
    case 'number':
      return 1;
    case 'list':
      return 1 + total(itemsOf(shape, shape.itemsMin));
    case 'object':
      return 1 + total(requiredOf(shape));
    case 'choice':
      return Math.min(...shape.options.map(leastValues));
    case 'reference':
      return shape.leastValues();
    default:
      throw new Error(`no such shape: ${String(shape satisfies never)}`);
  }
}

/** The shapes of the items of a list of this length. */
export function itemsOf(
  list: Extract<JsonShape, { kind: 'list' }>,
  length: number,
): readonly JsonShape[] {
  return Array.from({ length }, (_, index) => list.first[index] ?? list.rest);
}

function requiredOf(object: Extract<JsonShape, { kind: 'object' }>): readonly JsonShape[] {
  return object.properties.filter(({ required }) => required).map(({ shape }) => shape);
}

function total(shapes: readonly JsonShape[]): number {
  return shapes.reduce((sum, shape) => sum + leastValues(shape), 0);
}
