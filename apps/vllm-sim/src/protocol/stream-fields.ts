import type { FieldReader } from './fields.ts';
import { bodyError } from './request-error.ts';

/** Whether and how the answer is streamed. */
export type StreamFields = {
  readonly stream: boolean;
  readonly includeUsage: boolean;
  /** Usage in every chunk. vLLM heeds it only together with `include_usage`. */
  readonly continuousUsage: boolean;
};

export function readStreamFields(reader: FieldReader): StreamFields {
  const stream = reader.boolean('stream') ?? false;
  const options = reader.object('stream_options');
  const includeUsage = options?.['include_usage'] === true;
  return {
    stream,
    includeUsage,
    continuousUsage: includeUsage && options['continuous_usage_stats'] === true,
  };
}

export function checkStreamFields(reader: FieldReader): void {
  if (reader.object('stream_options') === undefined || reader.boolean('stream') === true) return;
  throw bodyError({
    message: 'Stream options can only be defined when `stream=True`.',
    param: 'stream_options',
  });
}
