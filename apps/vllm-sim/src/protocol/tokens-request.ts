import type { Persona } from '../personas.ts';
import { checkPromptIds } from './completion-request.ts';
import { createFieldReader, type JsonObject } from './fields.ts';
import { readCompletionLogprobs } from './logprob-fields.ts';
import { checkSamplingFields, readSamplingFields, type SamplingFields } from './sampling-fields.ts';
import { readSchedulingFields, type SchedulingFields } from './scheduling-fields.ts';
import { readStreamFields, type StreamFields } from './stream-fields.ts';
import type { Script } from '../text/script.ts';
import { readStructuredOutput } from './structured-output.ts';

/** A validated body of POST /inference/v1/generate: token ids in, token ids out. */
export type TokensRequest = {
  readonly model: string | undefined;
  readonly promptIds: readonly number[];
  readonly tokensMax: number | undefined;
  readonly sampling: SamplingFields;
  readonly streaming: StreamFields;
  readonly scheduling: SchedulingFields;
  readonly script: Script | undefined;
  readonly topLogprobs: number | undefined;
  readonly requestId: string | undefined;
};

/** @throws RequestError as vLLM would refuse the body, or for what is not simulated */
export function parseTokensRequest(body: JsonObject, persona: Persona): TokensRequest {
  const reader = createFieldReader(body);
  const promptIds = reader.integers('token_ids');
  const parameters = reader.object('sampling_params');
  for (const name of ['token_ids', 'sampling_params']) {
    const missing = reader.raw(name) === undefined;
    if (missing) reader.reject(name, { type: 'missing', message: 'Field required' });
  }
  const fields = {
    model: reader.string('model'),
    promptIds: promptIds ?? [],
    streaming: readStreamFields(reader, persona),
    scheduling: readSchedulingFields(reader),
    requestId: reader.string('request_id'),
  };
  reader.finish();

  const sampling = createFieldReader(parameters ?? {});
  const read = {
    tokensMax: sampling.integer('max_tokens'),
    sampling: readSamplingFields(sampling, persona),
  };
  sampling.finish();
  const topLogprobs = readCompletionLogprobs(sampling);
  const script = readStructuredOutput(sampling, persona);
  checkPromptIds(fields.promptIds);
  checkSamplingFields(read.sampling, sampling);
  return { ...fields, ...read, topLogprobs, script };
}
