import type { Persona } from '../personas.ts';
import type { FieldReader } from './fields.ts';
import { badValue } from './request-error.ts';

/** The sampling fields that chat and completions share. */
export type SamplingFields = {
  readonly tokensMin: number;
  readonly stops: readonly string[];
  readonly stopTokenIds: readonly number[];
  readonly includeStop: boolean;
  readonly ignoreEndOfText: boolean;
  readonly seed: number | undefined;
  /** Answers per prompt. */
  readonly choices: number;
  readonly temperature: number;
};

/** vLLM's VLLM_MAX_N_SEQUENCES. */
const CHOICES_MAX = 16_384;
/** Below it vLLM decodes greedily (_SAMPLING_EPS), and then takes n = 1 only. */
const GREEDY_TEMPERATURE = 1e-5;

export function readSamplingFields(reader: FieldReader, persona: Persona): SamplingFields {
  return {
    tokensMin: reader.integer('min_tokens') ?? 0,
    stops: reader.strings('stop') ?? [],
    stopTokenIds: reader.integers('stop_token_ids') ?? [],
    includeStop: reader.boolean('include_stop_str_in_output') ?? false,
    ignoreEndOfText: reader.boolean('ignore_eos') ?? false,
    seed: reader.integer('seed'),
    choices: reader.integer('n') ?? 1,
    temperature: reader.number('temperature') ?? persona.temperatureDefault,
  };
}

/** The range checks of vLLM's SamplingParams, with its wording. */
export function checkSamplingFields(sampling: SamplingFields, reader: FieldReader): void {
  const { choices, temperature, tokensMin, stops } = sampling;
  if (choices < 1) throw badValue({ message: `n must be at least 1, got ${choices}.` });
  if (choices > CHOICES_MAX) {
    throw badValue({ message: `n must be at most ${CHOICES_MAX}, got ${choices}.` });
  }
  for (const name of ['presence_penalty', 'frequency_penalty']) {
    const penalty = reader.number(name) ?? 0;
    if (penalty < -2 || penalty > 2) {
      throw badValue({ message: `${name} must be in [-2, 2], got ${penalty}.` });
    }
  }
  checkTemperature(temperature);
  const topP = reader.number('top_p') ?? 1;
  if (topP <= 0 || topP > 1) {
    throw badValue({
      message: `top_p must be in (0, 1], got ${topP}.`,
      param: 'top_p',
      value: topP,
    });
  }
  const topK = reader.integer('top_k') ?? 0;
  if (topK < -1) {
    throw badValue({ message: `top_k must be 0 (disable), or at least 1, got ${topK}.` });
  }
  if (tokensMin < 0) {
    throw badValue({ message: `min_tokens must be greater than or equal to 0, got ${tokensMin}.` });
  }
  if (stops.includes('')) throw badValue({ message: 'stop cannot contain an empty string.' });
  if (temperature < GREEDY_TEMPERATURE && choices > 1) {
    throw badValue({ message: `n must be 1 when using greedy sampling, got ${choices}.` });
  }
}

/** The limits on the number of tokens, which are checked once the default is known. */
export function checkTokenLimits(limits: { tokensMax: number; tokensMin: number }): void {
  const { tokensMax, tokensMin } = limits;
  if (tokensMax < 1) {
    throw badValue({
      message: `max_tokens must be at least 1, got ${tokensMax}.`,
      param: 'max_tokens',
      value: tokensMax,
    });
  }
  if (tokensMin > tokensMax) {
    throw badValue({
      message: `min_tokens must be less than or equal to max_tokens=${tokensMax}, got ${tokensMin}.`,
    });
  }
}

function checkTemperature(temperature: number): void {
  const reason =
    temperature < 0 ? 'must be non-negative' : temperature > 2 ? 'must be in [0, 2]' : undefined;
  if (reason === undefined) return;
  throw badValue({
    message: `temperature ${reason}, got ${temperature}.`,
    param: 'temperature',
    value: temperature,
  });
}
