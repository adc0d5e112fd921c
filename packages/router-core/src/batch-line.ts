/**
 * One line of the input file of a batch. What is wrong with it as a line fails the batch; what is
 * wrong in its body is its own outcome (`line-request.ts`).
 *
 * Codes are those that OpenAI and Azure are known to use, where they have one.
 */
import type { BatchEndpoint, BatchError } from './batch.ts';
import { QarrError } from './errors.ts';
import { BODY_LIMITS } from './json-limits.ts';
import { parseStrictJson } from './strict-json.ts';

export interface BatchLine {
  readonly customId: string;
  readonly body: Readonly<Record<string, unknown>>;
}

type LineReading =
  | ({ readonly kind: 'line' } & BatchLine)
  | { readonly kind: 'wrong'; readonly error: BatchError };

export const CUSTOM_ID_CHARS_MAX = 512;

/** A body may hold as much as one that comes by HTTP; here it lies in an object with a few fields. */
const LINE_LIMITS = {
  depthMax: BODY_LIMITS.depthMax + 1,
  valuesMax: BODY_LIMITS.valuesMax + 16,
};

/** @param number of the line in its file, from 1 */
export function parseBatchLine(
  text: string,
  { endpoint, number }: { endpoint: BatchEndpoint; number: number },
): LineReading {
  const wrong = (code: string, message: string, param: string | null = null): LineReading => ({
    kind: 'wrong',
    error: { code, message, param, line: number },
  });
  const missing = (param: string) =>
    wrong('missing_required_parameter', `Missing required parameter: '${param}'.`, param);

  const json = parseJson(text);
  if (json.kind === 'wrong') return wrong(json.code, json.message);
  if (!isObject(json.value)) return wrong('invalid_json_line', NOT_AN_OBJECT);

  const { custom_id: customId, method, url, body } = json.value;
  if (customId === undefined) return missing('custom_id');
  if (typeof customId !== 'string' || customId === '' || customId.length > CUSTOM_ID_CHARS_MAX) {
    const message = `custom_id must be a string of 1 to ${CUSTOM_ID_CHARS_MAX} characters.`;
    return wrong('invalid_custom_id', message, 'custom_id');
  }
  if (method === undefined) return missing('method');
  if (method !== 'POST') return wrong('invalid_method', 'method must be "POST".', 'method');
  if (url === undefined) return missing('url');
  if (url !== endpoint) {
    return wrong('url_mismatch', `url must be the batch's endpoint, ${endpoint}.`, 'url');
  }
  if (body === undefined) return missing('body');
  if (!isObject(body)) return wrong('invalid_body', 'body must be a JSON object.', 'body');
  return { kind: 'line', customId, body };
}

const NOT_JSON = 'This line is not parseable as valid JSON.';
const NOT_AN_OBJECT = 'This line is not a JSON object.';
const TOO_COMPLEX = `This line must hold at most ${LINE_LIMITS.valuesMax} values, nested at most ${LINE_LIMITS.depthMax} deep.`;

type JsonReading =
  | { readonly kind: 'json'; readonly value: unknown }
  | { readonly kind: 'wrong'; readonly code: string; readonly message: string };

function parseJson(text: string): JsonReading {
  try {
    return { kind: 'json', value: parseStrictJson(text, LINE_LIMITS) };
  } catch (error) {
    if (!(error instanceof QarrError)) throw error;
    return error.code === 'invalid_json'
      ? { kind: 'wrong', code: 'invalid_json_line', message: NOT_JSON }
      : { kind: 'wrong', code: 'line_too_complex', message: TOO_COMPLEX };
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
