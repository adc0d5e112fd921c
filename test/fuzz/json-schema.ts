/**
 * JSON Schema, as `/openapi.json` uses it: values that a schema allows. What a schema cannot say
 * (which fields exclude each other, say) is not known here, so a value may still be refused.
 */
import fc from 'fast-check';
import type { Arbitrary } from 'fast-check';

export interface JsonSchema {
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: JsonSchema | boolean;
  readonly maxProperties?: number;
  readonly items?: JsonSchema;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly uniqueItems?: boolean;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
  readonly allOf?: readonly JsonSchema[];
  readonly pattern?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly exclusiveMaximum?: number;
  readonly $ref?: string;
}

/** Finds what a reference names. */
export type Resolve = (reference: string) => JsonSchema;

/** Of optional fields, list items and characters: requests stay small, so that there can be many. */
const SOME = 4;
const CHARS = 24;
/** Of whole numbers: half of them are no larger. */
const FEW = 100;
/** Below this, only what must be there: schemas may be recursive. */
const DEPTH_MAX = 6;
/** Where anything may stand, mostly nothing does: else nearly every request would be refused. */
const ANYTHING_ONE_IN = 12;

/** Strings that mean something here: else no request would name a tier that there is. */
const WORDS = ['auto', 'fast', 'balanced', 'precise', 'test-model', 'Hello', 'Why? Because.'];

/** A schema does not say which fields a message needs in each role. */
const PLAIN: Readonly<Record<string, unknown>> = {
  messages: [{ role: 'user', content: 'Hello' }],
  input: 'Hello',
  prompt: 'Hello',
};

export function valuesOf(schema: JsonSchema, resolve: Resolve, depth = 0): Arbitrary<unknown> {
  if (schema.$ref !== undefined) return valuesOf(resolve(schema.$ref), resolve, depth);
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  if (schema.allOf !== undefined) return valuesOf(joined(schema.allOf), resolve, depth);
  const either = schema.anyOf ?? schema.oneOf;
  if (either !== undefined) {
    return fc.oneof(...either.map((one) => valuesOf(alternative(schema, one), resolve, depth)));
  }
  const types = typeof schema.type === 'string' ? [schema.type] : (schema.type ?? ['any']);
  return fc.oneof(...types.map((type) => valuesOfType(type, schema, { resolve, depth })));
}

function valuesOfType(
  type: string,
  schema: JsonSchema,
  { resolve, depth }: { resolve: Resolve; depth: number },
): Arbitrary<unknown> {
  switch (type) {
    case 'null':
      return fc.constant(null);
    case 'boolean':
      return fc.boolean();
    case 'integer':
      return integers(schema);
    case 'number':
      return fc.oneof(integers(schema), numbers(schema));
    case 'string':
      return strings(schema);
    case 'array': {
      const { minItems = 0, maxItems = SOME, items = {} } = schema;
      const length = {
        minLength: minItems,
        maxLength: Math.max(minItems, lessAt(depth, maxItems)),
      };
      const item = valuesOf(items, resolve, depth + 1);
      return schema.uniqueItems === true
        ? fc.uniqueArray(item, { ...length, selector: (value) => JSON.stringify(value) })
        : fc.array(item, length);
    }
    case 'object':
      return objects(schema, { resolve, depth });
    case 'any':
      return fc.jsonValue({ maxDepth: 2 });
    default:
      throw new Error(`There is no type ${type} in JSON Schema.`);
  }
}

function objects(
  schema: JsonSchema,
  { resolve, depth }: { resolve: Resolve; depth: number },
): Arbitrary<object> {
  const { properties = {}, required = [], additionalProperties } = schema;
  const values = (name: string) => {
    const drawn = valuesOf(properties[name] ?? {}, resolve, depth + 1);
    const plain = Object.hasOwn(PLAIN, name) ? PLAIN[name] : undefined;
    return plain === undefined ? drawn : fc.oneof(fc.constant(plain), drawn);
  };
  const optional = Object.keys(properties).filter((name) => !required.includes(name));
  const typed = optional.filter((name) => !saysNothing(properties[name]));
  const untyped = optional.filter((name) => saysNothing(properties[name]));
  const parts = fc.record({
    typed: fc.subarray(typed, { maxLength: lessAt(depth, typed.length) }),
    untyped: fc.oneof(
      { weight: ANYTHING_ONE_IN, arbitrary: fc.constant([]) },
      { weight: 1, arbitrary: fc.subarray(untyped, { maxLength: Math.min(1, untyped.length) }) },
    ),
  });
  const known = parts.chain(({ typed: some, untyped: any }) =>
    fc.record(
      Object.fromEntries([...required, ...some, ...any].map((name) => [name, values(name)])),
    ),
  );
  if (typeof additionalProperties !== 'object') return known;
  const others = fc.dictionary(
    fc.string({ maxLength: 8 }),
    valuesOf(additionalProperties, resolve, depth + 1),
    {
      maxKeys: lessAt(depth, schema.maxProperties ?? SOME),
      noNullPrototype: true,
    },
  );
  return fc.tuple(others, known).map(([more, fields]) => ({ ...more, ...fields }));
}

function saysNothing(schema: JsonSchema | undefined): boolean {
  return (
    schema?.type === undefined &&
    schema?.enum === undefined &&
    schema?.anyOf === undefined &&
    schema?.oneOf === undefined &&
    schema?.$ref === undefined
  );
}

function lessAt(depth: number, most: number): number {
  return depth >= DEPTH_MAX ? 0 : Math.min(most, SOME);
}

function strings({ pattern, minLength = 0, maxLength = CHARS }: JsonSchema): Arbitrary<string> {
  if (pattern !== undefined) return fc.stringMatching(new RegExp(pattern, 'u'));
  const length = { minLength, maxLength: Math.max(minLength, Math.min(maxLength, CHARS)) };
  const words = WORDS.filter((word) => word.length >= minLength && word.length <= maxLength);
  const free = fc.oneof(fc.string(length), fc.string({ ...length, unit: 'binary' }));
  return words.length === 0 ? free : fc.oneof(fc.constantFrom(...words), free);
}

function integers(schema: JsonSchema): Arbitrary<number> {
  const { min, max } = bounds(schema);
  const whole = { min: Math.ceil(min), max: Math.floor(max) };
  // Most of what is allowed is too much all the same: tokens, say, beyond the model's window.
  const few = { ...whole, max: Math.min(whole.max, Math.max(whole.min, 0) + FEW) };
  return fc.oneof(fc.integer(few), fc.integer(whole));
}

function numbers(schema: JsonSchema): Arbitrary<number> {
  const { min, max } = bounds(schema);
  return fc.double({ min, max, noNaN: true });
}

function bounds(schema: JsonSchema): { min: number; max: number } {
  const { exclusiveMinimum, exclusiveMaximum } = schema;
  return {
    min: exclusiveMinimum === undefined ? (schema.minimum ?? -1e6) : exclusiveMinimum + 1,
    max: exclusiveMaximum === undefined ? (schema.maximum ?? 1e6) : exclusiveMaximum - 1,
  };
}

/** What holds in every case, and one of the cases. */
function alternative(schema: JsonSchema, one: JsonSchema): JsonSchema {
  const { anyOf: _any, oneOf: _one, ...always } = schema;
  return joined([always, one]);
}

function joined(schemas: readonly JsonSchema[]): JsonSchema {
  return schemas.reduce((all, one) => ({
    ...all,
    ...one,
    properties: { ...all.properties, ...one.properties },
    required: [...(all.required ?? []), ...(one.required ?? [])],
  }));
}
