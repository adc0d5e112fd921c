/** The switches of `/v1/batches`. Those of the process that runs them are its own. */
import { ConfigurationError, milliseconds, wholeNumber } from '@qarr/process';
import { z } from 'zod';

const MINUTES = 60_000;
const DAYS = 24 * 60 * MINUTES;

export const batchVariables = {
  QARR_BATCHES_OPEN_MAX: wholeNumber(1, 10_000)
    .default(100)
    .describe('Batches of an owner that are not over; more are refused with `rate_limit_exceeded`'),
  QARR_BATCH_COMPLETION_MS_MIN: milliseconds(MINUTES, 30 * DAYS)
    .default(10 * MINUTES)
    .describe('The shortest `completion_window` that a batch may ask for, in ms'),
  QARR_BATCH_COMPLETION_MS_MAX: milliseconds(MINUTES, 30 * DAYS)
    .default(7 * DAYS)
    .describe('The longest, in ms'),
};

export interface BatchConfig {
  readonly openMax: number;
  readonly completionMsMin: number;
  readonly completionMsMax: number;
}

const variablesSchema = z.object(batchVariables);

export function batchConfig(variables: z.output<typeof variablesSchema>): BatchConfig {
  const completionMsMin = variables.QARR_BATCH_COMPLETION_MS_MIN;
  const completionMsMax = variables.QARR_BATCH_COMPLETION_MS_MAX;
  if (completionMsMin > completionMsMax) {
    throw new ConfigurationError(
      `QARR_BATCH_COMPLETION_MS_MIN: must be at most QARR_BATCH_COMPLETION_MS_MAX, ${completionMsMax}`,
    );
  }
  return { openMax: variables.QARR_BATCHES_OPEN_MAX, completionMsMin, completionMsMax };
}
