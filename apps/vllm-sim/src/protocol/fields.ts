import { schemaError } from './request-error.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

/**
 * Reads a request body field by field. Every mismatch is noted; `finish` throws them together, as
 * pydantic does. A field that is absent or null reads as undefined.
 */
export type FieldReader = {
  integer(name: string): number | undefined;
  number(name: string): number | undefined;
  boolean(name: string): boolean | undefined;
  string(name: string): string | undefined;
  /** One string or a list of strings. */
  strings(name: string): readonly string[] | undefined;
  integers(name: string): readonly number[] | undefined;
  object(name: string): JsonObject | undefined;
  /** The raw value, for what has more than one shape. */
  raw(name: string): unknown;
  /** Notes a mismatch found by the caller. */
  reject(name: string, reason: { type: string; message: string }): void;
  /** Throws a RequestError if any field was rejected. */
  finish(): void;
};

export function createFieldReader(body: JsonObject): FieldReader {
  const issues: string[] = [];

  function reject(name: string, reason: { type: string; message: string }): void {
    const input = name in body ? `, 'input': ${pythonText(body[name])}` : '';
    issues.push(
      `{'type': '${reason.type}', 'loc': ('body', '${name}'), 'msg': '${reason.message}'${input}}`,
    );
  }

  function read<Value>(
    name: string,
    expected: { accepts: (value: unknown) => value is Value; type: string; message: string },
  ): Value | undefined {
    const value = body[name];
    if (value === undefined || value === null) return undefined;
    if (expected.accepts(value)) return value;
    reject(name, expected);
    return undefined;
  }

  return {
    integer: (name) =>
      read(name, {
        accepts: isInteger,
        type: 'int_type',
        message: 'Input should be a valid integer',
      }),
    number: (name) =>
      read(name, {
        accepts: isNumber,
        type: 'float_type',
        message: 'Input should be a valid number',
      }),
    boolean: (name) =>
      read(name, {
        accepts: isBoolean,
        type: 'bool_type',
        message: 'Input should be a valid boolean',
      }),
    string: (name) =>
      read(name, {
        accepts: isString,
        type: 'string_type',
        message: 'Input should be a valid string',
      }),
    strings(name) {
      const value = read(name, {
        accepts: isStringOrStrings,
        type: 'list_type',
        message: 'Input should be a valid string or list of strings',
      });
      return typeof value === 'string' ? [value] : value;
    },
    integers: (name) =>
      read(name, {
        accepts: isIntegers,
        type: 'list_type',
        message: 'Input should be a valid list of integers',
      }),
    object: (name) =>
      read(name, {
        accepts: isObject,
        type: 'dict_type',
        message: 'Input should be a valid dictionary',
      }),
    raw: (name) => body[name],
    reject,
    finish() {
      if (issues.length > 0) throw schemaError(issues);
    },
  };
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function isString(value: unknown): value is string {
  return typeof value === 'string';
}

export function isIntegers(value: unknown): value is number[] {
  return Array.isArray(value) && value.every(isInteger);
}

export function isStrings(value: unknown): value is string[] {
  return Array.isArray(value) && value.every(isString);
}

function isStringOrStrings(value: unknown): value is string | string[] {
  return isString(value) || isStrings(value);
}

function isInteger(value: unknown): value is number {
  return Number.isSafeInteger(value);
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number';
}

function isBoolean(value: unknown): value is boolean {
  return typeof value === 'boolean';
}

/** A JSON value as Python prints it, which is how it appears in vLLM's messages. */
function pythonText(value: unknown): string {
  if (value === null || value === undefined) return 'None';
  if (value === true) return 'True';
  if (value === false) return 'False';
  if (isString(value)) return `'${value.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
  if (Array.isArray(value)) return `[${value.map(pythonText).join(', ')}]`;
  if (!isObject(value)) return JSON.stringify(value);
  const pairs = Object.entries(value).map(([key, item]) => `'${key}': ${pythonText(item)}`);
  return `{${pairs.join(', ')}}`;
}
