/** What is wrong with an answer, whatever was asked. */
import { Ajv2020 } from 'ajv/dist/2020.js';
import type { ValidateFunction } from 'ajv/dist/2020.js';
import { ERROR_TABLE } from '@qarr/router-core';
import type { Answer } from './exchange.ts';
import type { JsonSchema } from './json-schema.ts';
import type { OpenApi } from './operations.ts';
import type { FuzzRequest } from './requests.ts';

export type Judge = (request: FuzzRequest, answer: Answer) => string[];

export function createJudge(api: OpenApi): Judge {
  const ajv = new Ajv2020({ strict: false, validateFormats: false });
  ajv.addSchema({ $id: 'api', components: api.components ?? {} });
  const compiled = new Map<JsonSchema, ValidateFunction>();
  function schemaProblems(schema: JsonSchema, value: unknown): string[] {
    const validate = compiled.get(schema) ?? ajv.compile(schema);
    compiled.set(schema, validate);
    return validate(value) ? [] : [`not as documented: ${ajv.errorsText(validate.errors)}`];
  }

  return ({ operation, kind, method }, answer) => {
    const { end, status, headers, body } = answer;
    if (end === 'hung') return ['no answer'];
    if (status === null) return ['closed without an answer'];
    const problems: string[] = [];
    if (!/^req_\w{32}$/.test(headers.get('x-request-id') ?? '')) problems.push('no x-request-id');
    if (headers.has('x-injected')) problems.push('a header of the client');
    const isJson = headers.get('content-type') === 'application/json; charset=utf-8';
    if (status >= 400) {
      if (method === 'HEAD' && body === '') return problems;
      return [
        ...problems,
        ...(isJson ? errorProblems(status, body) : ['an error that is no JSON']),
      ];
    }
    if (status === 204 || method === 'HEAD') return problems;
    if (headers.get('content-type')?.startsWith('text/event-stream')) {
      return [...problems, ...streamProblems(answer)];
    }
    // What a client has stored.
    if (
      operation.path.endsWith('/content') &&
      headers.get('content-disposition') === 'attachment'
    ) {
      return problems;
    }
    const value = parsed(body);
    if (!isJson || value === undefined) return [...problems, 'an answer that is no JSON'];
    // What is garbage may have been answered by another operation.
    const schema = kind === 'garbage' ? null : operation.answerSchema(status);
    return schema === null ? problems : [...problems, ...schemaProblems(schema, value)];
  };
}

function errorProblems(status: number, body: string): string[] {
  const error = (parsed(body) as { error?: Record<string, unknown> } | undefined)?.error;
  const code = String(error?.['code']);
  const row = Object.hasOwn(ERROR_TABLE, code)
    ? ERROR_TABLE[code as keyof typeof ERROR_TABLE]
    : undefined;
  if (error === undefined || row === undefined) return [`an error of unknown shape: ${code}`];
  const problems: string[] = [];
  if (status === 500) problems.push(`500 ${code}`);
  if (row.httpStatus !== status) problems.push(`${code} as ${status}, not ${row.httpStatus}`);
  if (row.type !== error['type']) problems.push(`${code} of type ${String(error['type'])}`);
  if (typeof error['message'] !== 'string' || error['message'] === '') problems.push('no message');
  const { param } = error;
  if (param !== null && typeof param !== 'string') problems.push('a param that is no string');
  return problems;
}

/** Comments end with their line: one may be the last of a stream whose job was deleted meanwhile. */
const COMMENTS = /^(?::[^\n]*\n)*$/;

/** Every frame that has arrived whole is a comment, or fields with JSON in them. */
function streamProblems({ body, end }: Answer): string[] {
  const frames = body.split('\n\n');
  const last = frames.pop() ?? '';
  const isWhole = COMMENTS.test(last) || end === 'left';
  const problems = isWhole ? [] : ['a stream that ends in the middle'];
  const data = frames.flatMap((frame) =>
    frame.split('\n').flatMap((line) => /^data: (.*)$/.exec(line)?.[1] ?? []),
  );
  for (const text of data) {
    if (text !== '[DONE]' && parsed(text) === undefined) problems.push('an event that is no JSON');
  }
  return problems;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
