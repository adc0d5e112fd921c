/** What the user of a command is told when the API does not do what it was asked. */
import { QarrClientError } from '@qarr/client';
import { CliError } from './cli-error.ts';
import { isRecord } from './is-record.ts';
import { printable } from './tiers/printable.ts';

/** The API's messages are shorter. */
const MESSAGE_CHARS_MAX = 300;

interface Asked {
  readonly baseUrl: string;
  readonly path: string;
  /** Whether a key was shown to it. */
  readonly hasKey: boolean;
}

/** A CliError of one line; what is no error of the client, and giving up, stays what it is. */
export function asProblem(error: unknown, asked: Asked): unknown {
  if (!(error instanceof QarrClientError) || error.code === 'aborted') return error;
  return new CliError(problemOf(error, asked), { cause: error });
}

function problemOf(error: QarrClientError, { baseUrl, path, hasKey }: Asked): string {
  const { code, status, cause } = error;
  const message = printable(error.message, MESSAGE_CHARS_MAX);
  const create = `qarr keys create --owner NAME${isOfBatches(path) ? ' --scopes batch' : ''}`;
  switch (code) {
    case 'network_error':
      return `no answer from ${baseUrl} (${causeOf(cause)}); start the API (npm start), or name another one with --url`;
    case 'timeout':
      return `no answer from ${baseUrl} (${message}); start the API (npm start), or name another one with --url`;
    case 'bad_answer':
      return `${baseUrl}${path} is not QARR's (${message}); name its API with --url`;
    case 'invalid_api_key':
      return hasKey
        ? `${baseUrl} does not know the API key of QARR_API_KEY, or it was revoked or has expired: set another one (${create})`
        : `${baseUrl} asks for an API key: set QARR_API_KEY to one that it knows (${create})`;
    case 'http_error':
      return `${baseUrl}${path} answered ${status}`;
    default:
      if (status === null) return message;
      return `${baseUrl}${path} answered ${status} (${printable(code)}: ${message})`;
  }
}

/** Which a key without that scope may not ask. */
function isOfBatches(path: string): boolean {
  return path.startsWith('/v1/batches') || path.startsWith('/v1/files');
}

/** Of a connection, as Node's fetch tells it. */
function causeOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  const code = isRecord(cause) ? cause['code'] : undefined;
  if (code === 'ECONNREFUSED') return 'nobody listens there';
  return typeof code === 'string' ? code : 'the connection failed';
}
