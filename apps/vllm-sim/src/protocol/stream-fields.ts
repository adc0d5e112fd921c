import type { Persona } from '../personas.ts';
import type { FieldReader } from './fields.ts';
import { bodyError } from './request-error.ts';

/** Whether and how the answer is streamed. */
export type StreamFields = {
  readonly stream: boolean;
  readonly includeUsage: boolean;
  /** Usage in every chunk. vLLM heeds it only together with `include_usage`. */
  readonly continuousUsage: boolean;
};

export function readStreamFields(reader: FieldReader, persona: Persona): StreamFields {
  const stream = reader.boolean('stream') ?? false;
  const options = reader.object('stream_options');
  const includeUsage =
    options !== undefined &&
    (options['include_usage'] ?? persona.streamOptions.includeUsageDefault) === true;
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
