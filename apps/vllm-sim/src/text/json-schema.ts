import { scalarShape } from './json-scalars.ts';
import { ANY_OBJECT, ANY_VALUE, type JsonShape, leastValues } from './json-shape.ts';

type Schema = Readonly<Record<string, unknown>>;

export type CompiledSchema =
  | { readonly kind: 'shape'; readonly shape: JsonShape }
  | { readonly kind: 'refused'; readonly reason: string };

/** Keywords that restrict a value in ways that the writer does not know. */
const UNSUPPORTED = [
  'contains',
  'dependentRequired',
  'dependentSchemas',
  'if',
  'maxProperties',
  'minProperties',
  'multipleOf',
  'not',
  'pattern',
  'patternProperties',
  'propertyNames',
  'uniqueItems',
];
/** Keywords that a schema with `anyOf`, `oneOf` or `allOf` must not have beside it. */
const RESTRICTING = ['properties', 'required', 'items', 'prefixItems', 'enum', 'const', 'minimum'];
/** Schemas within schemas; deeper ones would overflow the stack. */
const NESTING_MAX = 64;
/** Items that a list may demand, and values that a schema may demand in all: more would only be slow. */
const ITEMS_MIN_MAX = 1_000;
const VALUES_MIN_MAX = 10_000;

/**
 * Reduces a JSON schema to a shape. Annotations are ignored; a keyword that restricts values in a
 * way that is not simulated refuses the schema, and so does one that no finite value satisfies.
 * Of `oneOf` the first branch is taken, though a value of it may match another one too.
 */
export function compileSchema(root: unknown): CompiledSchema {
  const problems: string[] = [];
  const references = new Map<string, { shape: JsonShape; leastValues: number }>();
  const shape = compile(root, 0);
  measureReferences();
  const [problem] = problems;
  if (problem !== undefined) return { kind: 'refused', reason: problem };
  if (leastValues(shape) <= VALUES_MIN_MAX) return { kind: 'shape', shape };
  return { kind: 'refused', reason: 'a schema without a small value' };

  function compile(schema: unknown, depth: number): JsonShape {
    if (schema === true || schema === undefined) return ANY_VALUE;
    if (!isSchema(schema)) return refuse('a schema that is no object');
    if (depth > NESTING_MAX) return refuse(`schemas nested deeper than ${NESTING_MAX}`);
    const unsupported = UNSUPPORTED.find((keyword) => restricts(schema[keyword]));
    if (unsupported !== undefined) return refuse(unsupported);
    if (typeof schema['$ref'] === 'string') return reference(schema['$ref'], depth);
    if ('const' in schema) return { kind: 'literal', texts: [jsonText(schema['const'])] };
    const values = schema['enum'];
    if (Array.isArray(values)) {
      return values.length === 0
        ? refuse('an empty enum')
        : { kind: 'literal', texts: values.map(jsonText) };
    }
    return combined(schema, depth) ?? typed(schema, schema['type'], depth);
  }

  function combined(schema: Schema, depth: number): JsonShape | undefined {
    for (const keyword of ['anyOf', 'oneOf', 'allOf']) {
      const branches = schema[keyword];
      if (!Array.isArray(branches)) continue;
      const beside = RESTRICTING.find((name) => name in schema);
      if (beside !== undefined) return refuse(`${keyword} beside ${beside}`);
      if (branches.length === 0 || (keyword === 'allOf' && branches.length > 1)) {
        return refuse(keyword);
      }
      return { kind: 'choice', options: branches.map((branch) => compile(branch, depth + 1)) };
    }
    return undefined;
  }

  function typed(schema: Schema, type: unknown, depth: number): JsonShape {
    if (Array.isArray(type) && type.length > 0) {
      return { kind: 'choice', options: type.map((each) => typed(schema, each, depth)) };
    }
    switch (type ?? impliedType(schema)) {
      case 'object':
        return objectShape(schema, depth);
      case 'array':
        return listShape(schema, depth);
      case 'string':
      case 'integer':
      case 'number': {
        const scalar = scalarShape(schema, type ?? impliedType(schema));
        return scalar.kind === 'refused' ? refuse(scalar.reason) : scalar;
      }
      case 'boolean':
        return { kind: 'literal', texts: ['true', 'false'] };
      case 'null':
        return { kind: 'literal', texts: ['null'] };
      case undefined:
        return ANY_VALUE;
      default:
        return refuse(`type ${jsonText(type)}`);
    }
  }

  function reference(path: string, depth: number): JsonShape {
    const found = path === '#' ? root : valueAt(root, path);
    if (found === undefined) return refuse(`$ref ${path}`);
    if (!references.has(path)) {
      const entry = { shape: ANY_VALUE, leastValues: Infinity };
      references.set(path, entry);
      entry.shape = compile(found, depth + 1);
    }
    return {
      kind: 'reference',
      target: () => references.get(path)?.shape ?? ANY_VALUE,
      leastValues: () => references.get(path)?.leastValues ?? 1,
    };
  }

  /** From below: what does not come down from infinity in as many rounds as there are references has no finite value. */
  function measureReferences(): void {
    for (let round = 0; round < references.size; round += 1) {
      for (const entry of references.values()) entry.leastValues = leastValues(entry.shape);
    }
  }

  function objectShape(schema: Schema, depth: number): JsonShape {
    const properties = isSchema(schema['properties']) ? schema['properties'] : {};
    const required = Array.isArray(schema['required']) ? schema['required'].map(String) : [];
    const names = new Set([...Object.keys(properties), ...required]);
    if (names.size === 0) return isOpen(schema) ? ANY_OBJECT : EMPTY_OBJECT;
    return {
      kind: 'object',
      properties: [...names].map((name) => ({
        name,
        shape: compile(
          Object.hasOwn(properties, name) ? properties[name] : schema['additionalProperties'],
          depth + 1,
        ),
        required: required.includes(name),
      })),
    };
  }

  function listShape(schema: Schema, depth: number): JsonShape {
    const first = Array.isArray(schema['prefixItems']) ? schema['prefixItems'] : [];
    const closed = schema['items'] === false;
    const itemsMax = closed ? first.length : numberOf(schema['maxItems']);
    const itemsMin = numberOf(schema['minItems']) ?? Math.min(1, itemsMax ?? 1);
    if (itemsMin > (itemsMax ?? Infinity)) return refuse('minItems above maxItems');
    if (itemsMin > ITEMS_MIN_MAX) return refuse(`minItems above ${ITEMS_MIN_MAX}`);
    return {
      kind: 'list',
      first: first.map((item) => compile(item, depth + 1)),
      rest: closed ? ANY_VALUE : compile(schema['items'], depth + 1),
      itemsMin,
      itemsMax,
    };
  }

  function refuse(reason: string): JsonShape {
    problems.push(reason);
    return ANY_VALUE;
  }
}

const EMPTY_OBJECT: JsonShape = { kind: 'object', properties: [] };

/** Says nothing at all about the members of the object. */
function isOpen(schema: Schema): boolean {
  const additional = schema['additionalProperties'];
  return !('properties' in schema) && (additional === undefined || additional === true);
}

function impliedType(schema: Schema): string | undefined {
  if ('properties' in schema || 'required' in schema) return 'object';
  return 'items' in schema || 'prefixItems' in schema ? 'array' : undefined;
}

/** Follows a JSON pointer within the document, such as `#/$defs/node`. */
function valueAt(root: unknown, pointer: string): unknown {
  if (!pointer.startsWith('#/')) return undefined;
  let value: unknown = root;
  for (const part of pointer.slice(2).split('/')) {
    const name = part.replaceAll('~1', '/').replaceAll('~0', '~');
    value = isSchema(value) && Object.hasOwn(value, name) ? value[name] : undefined;
  }
  return value;
}

function restricts(value: unknown): boolean {
  if (value === undefined || value === false || value === 0) return false;
  return !(isSchema(value) && Object.keys(value).length === 0);
}

function isSchema(value: unknown): value is Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined;
}

function jsonText(value: unknown): string {
  return JSON.stringify(value) ?? 'null';
}
