/**
 * Requests for one operation: as its schemas want them, nearly so, and garbage. All as text, since
 * no HTTP client would send most of them.
 */
import { METHODS } from 'node:http';
import fc from 'fast-check';
import type { Arbitrary } from 'fast-check';
import { FORM_TYPE, formOf } from '../harness/multipart.ts';
import { valuesOf } from './json-schema.ts';
import type { Resolve } from './json-schema.ts';
import type { Operation, Parameter } from './operations.ts';
import { hostileHeader, hostileHttp, hostileJson, hostilePath, hostileType } from './hostile.ts';

type Kind = 'valid' | 'nearly' | 'garbage';

export interface FuzzRequest {
  readonly operation: Operation;
  readonly kind: Kind;
  readonly method: string;
  /** Path and query; `known(n)` in it is one of the ids that were seen so far. */
  readonly target: string;
  /** Lines, without their ends. */
  readonly headers: readonly string[];
  /** Null: none. */
  readonly body: string | Uint8Array | null;
  /** What is wrong below HTTP: sent instead of all else. */
  readonly raw: string | null;
}

/** All that Node's parser knows but that of tunnels, to which it closes; and one that it does not. */
const METHODS_SENT = [...METHODS.filter((method) => method !== 'CONNECT'), 'get'];
const JSON_TYPE = 'content-type: application/json';
const FORM_HEADER = `content-type: ${FORM_TYPE}`;
/** Stands in a body where something is to be put that no JSON writer writes. */
const PLACE = '@@hostile@@';

export function requestsFor(operation: Operation, resolve: Resolve): Arbitrary<FuzzRequest> {
  const valid = validRequest(operation, resolve);
  return fc.oneof(
    { weight: 4, arbitrary: valid },
    { weight: 4, arbitrary: nearlyValid(operation, valid, resolve) },
    { weight: 2, arbitrary: garbage(operation, valid) },
  );
}

function validRequest(operation: Operation, resolve: Resolve): Arbitrary<FuzzRequest> {
  const { method, path, parameters } = operation;
  const values = (place: Parameter['in']) => {
    const here = parameters.filter((parameter) => parameter.in === place);
    const required = here.filter((parameter) => parameter.required).map(({ name }) => name);
    return fc.record(
      Object.fromEntries(here.map(({ name, schema }) => [name, textOf(schema, place, resolve)])),
      { requiredKeys: required },
    );
  };
  return fc
    .record({
      path: values('path'),
      query: values('query'),
      header: values('header'),
      body: bodyOf(operation, resolve),
    })
    .map(({ path: inPath, query, header, body: text }) => {
      const filled = path.replaceAll(/\{(\w+)\}/g, (_whole, name: string) => inPath[name] ?? '');
      const search = Object.entries(query).map(
        ([name, value]) => `${name}=${encodeURIComponent(value ?? '')}`,
      );
      return {
        operation,
        kind: 'valid' as const,
        method,
        target: search.length === 0 ? filled : `${filled}?${search.join('&')}`,
        headers: [
          ...Object.entries(header).map(([name, value]) => `${name}: ${value}`),
          ...(text === null ? [] : [typeOf(operation)]),
        ],
        body: text,
        raw: null,
      };
    });
}

function bodyOf({ body, form }: Operation, resolve: Resolve): Arbitrary<string | null> {
  if (body !== null) return valuesOf(body, resolve).map((value) => JSON.stringify(value));
  if (form === null) return fc.constant(null);
  return valuesOf(form, resolve).map((value) =>
    formOf(
      ...Object.entries(value as object).map(([name, content]) =>
        name === 'file'
          ? { name, filename: 'in.jsonl', content: String(content) }
          : { name, value: String(content) },
      ),
    ).toString(),
  );
}

function typeOf({ form }: Operation): string {
  return form === null ? JSON_TYPE : FORM_HEADER;
}

/** Of a parameter: an id is mostly one that there is. */
function textOf(
  schema: Parameter['schema'],
  place: Parameter['in'],
  resolve: Resolve,
): Arbitrary<string> {
  if (place === 'header')
    return fc.oneof(fc.constantFrom('wait=1', '0', 'key-1', 'key-2'), printable());
  const value = valuesOf(schema, resolve).map(String).map(asWellFormed);
  // A cursor is any string to its schema.
  const isCursor = schema.type === 'string' && schema.enum === undefined && !schema.pattern;
  if (place === 'query') return isCursor ? fc.oneof(value, fc.nat(2).map(String)) : value;
  const id = fc.nat(200).map((index) => `known(${index})`);
  return fc.oneof(id, value.map(encodeURIComponent));
}

function nearlyValid(
  operation: Operation,
  valid: Arbitrary<FuzzRequest>,
  resolve: Resolve,
): Arbitrary<FuzzRequest> {
  const otherHeader = fc
    .tuple(valid, hostileHeader)
    .map(([request, line]) => ({ ...request, headers: [line, ...request.headers] }));
  const otherQuery = fc.tuple(valid, hostilePath).map(([request, part]) => ({
    ...request,
    target: `${request.target}${request.target.includes('?') ? '&' : '?'}${part.query}`,
  }));
  const { body } = operation;
  if (body === null) return asKind('nearly', fc.oneof(otherHeader, otherQuery));
  const otherBody = fc
    .tuple(valid, valuesOf(body, resolve), fc.nat(), hostileJson)
    .map(([request, value, at, spoil]) => ({ ...request, body: spoilt(value, at, spoil) }));
  return asKind(
    'nearly',
    fc.oneof(
      { weight: 6, arbitrary: otherBody },
      { weight: 1, arbitrary: otherHeader },
      { weight: 1, arbitrary: otherQuery },
    ),
  );
}

function garbage(operation: Operation, valid: Arbitrary<FuzzRequest>): Arbitrary<FuzzRequest> {
  const text = ({ body }: FuzzRequest) => (typeof body === 'string' ? body : '{"prompt":"Hello"}');
  const wrongType = fc.tuple(valid, hostileType).map(([request, type]) => ({
    ...request,
    headers: [...request.headers.filter((line) => line !== JSON_TYPE), ...type],
    body: text(request),
  }));
  const cut = fc.tuple(valid, fc.nat()).map(([request, at]) => ({
    ...request,
    headers: [typeOf(operation)],
    body: text(request).slice(0, at % (text(request).length + 1)),
  }));
  const bytes = fc
    .tuple(valid, fc.uint8Array({ maxLength: 64 }))
    .map(([request, body]) => ({ ...request, headers: [typeOf(operation)], body }));
  const method = fc
    .tuple(valid, fc.constantFrom(...METHODS_SENT))
    .map(([request, other]) => ({ ...request, method: other }));
  const path = fc
    .tuple(valid, hostilePath)
    .map(([request, part]) => ({ ...request, target: part.target(request.target) }));
  const raw = fc.tuple(valid, hostileHttp).map(([request, write]) => ({
    ...request,
    raw: write(`${request.method} ${request.target} HTTP/1.1`, text(request)),
  }));
  return asKind('garbage', fc.oneof(wrongType, cut, bytes, method, path, raw));
}

function asKind(
  kind: Kind,
  requests: Arbitrary<Omit<FuzzRequest, 'kind'>>,
): Arbitrary<FuzzRequest> {
  return requests.map((request) => ({ ...request, kind }));
}

/** One value of it, or one field more, is something else. */
function spoilt(
  value: unknown,
  at: number,
  { json, field }: { json: string; field: string | null },
): string {
  const copy: unknown = structuredClone(value);
  const places = placesIn(copy);
  const place = places[at % places.length];
  if (place === undefined) return json;
  if (field === null) place.set(PLACE);
  else if (!place.add(field, PLACE)) place.set(PLACE);
  return JSON.stringify(copy).replace(`"${PLACE}"`, () => json);
}

interface Place {
  set(value: unknown): void;
  /** Adds a field beside it; false in a list. */
  add(field: string, value: unknown): boolean;
}

function placesIn(value: unknown): Place[] {
  if (typeof value !== 'object' || value === null) return [];
  const holder = value as Record<string, unknown>;
  return Object.entries(holder).flatMap(([name, inner]) => [
    {
      set: (other: unknown) => void (holder[name] = other),
      add(field: string, other: unknown) {
        if (Array.isArray(holder)) return false;
        Object.defineProperty(holder, field, {
          value: other,
          enumerable: true,
          configurable: true,
        });
        return true;
      },
    },
    ...placesIn(inner),
  ]);
}

function printable(): Arbitrary<string> {
  return fc
    .string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 20 })
    .map((text) => text.trim());
}

/** Half a character cannot be put into a URL. */
function asWellFormed(text: string): string {
  return text.toWellFormed();
}
