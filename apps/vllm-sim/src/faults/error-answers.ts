import { STATUS_CODES } from 'node:http';
import { RequestError } from '../protocol/request-error.ts';
import type { ParamsOf } from './fault-table.ts';

type StatusParams = ParamsOf<'status'>;

/** An error in the shape of the persona, or a body of its own. */
export type ErrorAnswer =
  | { readonly kind: 'shaped'; readonly error: RequestError }
  | { readonly kind: 'own'; readonly contentType: string; readonly body: string };

/** What comes with a status, by vLLM's habits and those of what stands in front of it. */
export function errorAnswer(params: StatusParams): ErrorAnswer {
  const { status } = params;
  const body = params.body === 'auto' ? bodyOfStatus(status) : params.body;
  switch (body) {
    case 'overflow':
      return shaped(status, 'BadRequestError', OVERFLOW_WORDINGS[params.wording]);
    case 'vllm':
      return shaped(status, ...vllmError(status));
    case 'string':
      return json({ error: status === 401 ? 'Unauthorized' : phraseOf(status) });
    case 'scaling':
      return json({ error: 'The model is currently scaling. Please try again later.' });
    case 'loading':
      // llama-server's; vLLM does not listen while it loads.
      return json({ error: { code: status, message: 'Loading model', type: 'unavailable_error' } });
    case 'html':
      return { kind: 'own', contentType: 'text/html', body: htmlPage(status) };
    case 'empty':
      return { kind: 'own', contentType: 'text/plain', body: '' };
    default:
      return body satisfies never;
  }
}

/** One request, 9000 tokens in a window of 8192, in the words of four ages of vLLM. */
const OVERFLOW_WORDINGS: Readonly<Record<StatusParams['wording'], string>> = {
  current:
    "This model's maximum context length is 8192 tokens. However, you requested 1000 output tokens and your prompt contains 8000 input tokens, for a total of 9000 tokens. Please reduce the length of the input prompt or the number of requested output tokens. (parameter=input_tokens, value=8000)",
  '0.15':
    "You passed 8000 input tokens and requested 1000 output tokens. However, the model's context length is only 8192 tokens, resulting in a maximum input length of 7192 tokens. Please reduce the length of the input prompt.",
  '0.10':
    "'max_tokens' or 'max_completion_tokens' is too large: 1000. This model's maximum context length is 8192 tokens and your request has 8000 input tokens (1000 > 8192 - 8000).",
  '0.6.4':
    "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens (8000 in the messages, 1000 in the completion). Please reduce the length of the messages or completion.",
};

function bodyOfStatus(status: number): Exclude<StatusParams['body'], 'auto'> {
  switch (status) {
    case 400:
      return 'overflow';
    case 401:
      return 'string';
    case 502:
    case 504:
      return 'html';
    case 503:
      return 'scaling';
    default:
      return 'vllm';
  }
}

function vllmError(status: number): [type: string, message: string] {
  switch (status) {
    case 400:
      return ['BadRequestError', 'max_tokens must be at least 1, got 0.'];
    case 404:
      return ['NotFoundError', 'The model `none` does not exist.'];
    case 422:
      return ['UnprocessableEntityError', 'Failed to load the media of the request.'];
    case 500:
      return [
        'InternalServerError',
        'EngineCore encountered an issue. See stack trace (above) for the root cause.',
      ];
    default:
      return [phraseOf(status), phraseOf(status)];
  }
}

function phraseOf(status: number): string {
  return STATUS_CODES[status] ?? 'Error';
}

/** As nginx answers for an upstream that does not. */
function htmlPage(status: number): string {
  const title = `${status} ${phraseOf(status)}`;
  return `<html>\r\n<head><title>${title}</title></head>\r\n<body>\r\n<center><h1>${title}</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n`;
}

function shaped(status: number, type: string, message: string): ErrorAnswer {
  const param = status === 404 ? { param: 'model' } : {};
  return { kind: 'shaped', error: new RequestError({ status, type, message, ...param }) };
}

function json(body: object): ErrorAnswer {
  return { kind: 'own', contentType: 'application/json', body: JSON.stringify(body) };
}
