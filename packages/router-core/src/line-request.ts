/** The body of a line of a batch as a request: what the route of its endpoint would make of it. */
import type { z } from 'zod';
import type { BatchEndpoint } from './batch.ts';
import { completionRequestSchema } from './completion-request.ts';
import type { RawRequest } from './completion-request.ts';
import { QarrError } from './errors.ts';
import { requestError } from './request-error.ts';
import { chatRequestSchema } from './requests.ts';
import type { ChatRequest } from './requests.ts';
import { chatOfResponse, responseRequestSchema } from './responses-request.ts';
import type { ResponseRequest } from './responses-request.ts';

export type LineRequest =
  | { readonly endpoint: '/v1/chat/completions'; readonly body: ChatRequest }
  | { readonly endpoint: '/v1/completions'; readonly body: RawRequest }
  | { readonly endpoint: '/v1/responses'; readonly body: ResponseRequest };

export type LineReading =
  | { readonly kind: 'request'; readonly request: LineRequest }
  /** This is the line's outcome. */
  | { readonly kind: 'refused'; readonly error: QarrError };

/** @param body as `parseStrictJson` has read it: without nulls */
export function parseLineBody(
  endpoint: BatchEndpoint,
  body: Readonly<Record<string, unknown>>,
): LineReading {
  const wrong = notOfBatches(endpoint, body);
  if (wrong !== null) return { kind: 'refused', error: wrong };
  switch (endpoint) {
    case '/v1/chat/completions':
      return read(chatRequestSchema, body, (chat) => ({ endpoint, body: chat }));
    case '/v1/completions':
      return read(completionRequestSchema, body, (raw) => ({
        endpoint,
        body: { ...raw, isRaw: true },
      }));
    case '/v1/responses':
      return read(responseRequestSchema, body, (response) => ({ endpoint, body: response }));
    default:
      return endpoint satisfies never;
  }
}

/** What routing is asked for. */
export function routedOfLine({ endpoint, body }: LineRequest): ChatRequest | RawRequest {
  if (endpoint !== '/v1/responses') return body;
  return chatOfResponse(body, { goneBefore: [], input: body.input });
}

function read<Schema extends z.ZodType>(
  schema: Schema,
  body: unknown,
  requestOf: (body: z.output<Schema>) => LineRequest,
): LineReading {
  const parsed = schema.safeParse(body);
  if (parsed.success) return { kind: 'request', request: requestOf(parsed.data) };
  const [issue] = parsed.error.issues;
  const error = issue === undefined ? new QarrError('invalid_request') : requestError(issue);
  return { kind: 'refused', error };
}

const IN_A_BATCH = 'is not supported in a batch';

function notOfBatches(endpoint: BatchEndpoint, body: Readonly<Record<string, unknown>>) {
  if (body['stream'] === true) {
    return unsupported('stream', `${IN_A_BATCH}: leave it out, the answer is a line of a file`);
  }
  if (body['class'] === 'interactive' || body['class'] === 'standard') {
    return unsupported('class', 'of a line of a batch is "batch"');
  }
  return endpoint === '/v1/responses' ? notOfResponses(body) : null;
}

function notOfResponses(body: Readonly<Record<string, unknown>>): QarrError | null {
  if (body['background'] === true) {
    return unsupported('background', `${IN_A_BATCH}: leave it out, nobody waits for a line`);
  }
  // What it stands for may be gone by the time that the line is run.
  if (body['previous_response_id'] !== undefined) {
    return unsupported('previous_response_id', `${IN_A_BATCH}: send the conversation as input`);
  }
  if (Array.isArray(body['input']) && body['input'].some(isReference)) {
    return unsupported('input', 'of a line of a batch must not refer to items: send them');
  }
  return null;
}

function isReference(item: unknown): boolean {
  return (
    typeof item === 'object' && item !== null && 'type' in item && item.type === 'item_reference'
  );
}

function unsupported(param: string, text: string): QarrError {
  return new QarrError('unsupported_parameter', { param, message: `${param} ${text}.` });
}
