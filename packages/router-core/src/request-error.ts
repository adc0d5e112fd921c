/** What a client is told of a request that a schema refuses. */
import { z } from 'zod';
import { QarrError } from './errors.ts';

/** Of a name in a request that an answer may repeat. */
const NAME_CHARS_MAX = 64;

/** The part of zod's issues that is told. */
export interface RequestIssue {
  readonly code: string;
  readonly path: readonly PropertyKey[];
  readonly message?: string | undefined;
  /** Of unknown fields, their names. */
  readonly keys?: unknown;
  /** Of an issue of our own. */
  readonly params?: unknown;
}

const ownParams = z.object({ code: z.string() }).catch({ code: '' });

export function requestError({ code, path, message, keys, params }: RequestIssue): QarrError {
  if (code === 'unrecognized_keys' && Array.isArray(keys)) {
    const key = String(keys[0]).slice(0, NAME_CHARS_MAX);
    const text = `There is no parameter ${JSON.stringify(key)}.`;
    return new QarrError('unknown_parameter', { param: key, message: text });
  }
  const param = path.join('.').replaceAll('/', '.').slice(0, NAME_CHARS_MAX);
  const { code: own } = ownParams.parse(params);
  return new QarrError(own === 'unsupported_parameter' ? own : 'invalid_request', {
    param: param === '' ? undefined : param,
    message: `${param === '' ? 'The body' : param} ${message ?? 'is not valid'}.`,
  });
}
