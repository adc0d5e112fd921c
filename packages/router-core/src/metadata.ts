/** What a client notes on its jobs and batches, and gets back with them. */
import { z } from 'zod';
import { text } from './request-fields.ts';

/** OpenAI's limits. */
const PAIRS_MAX = 16;
const KEY_CHARS_MAX = 64;
const VALUE_CHARS_MAX = 512;

export const metadataSchema = z
  .record(z.string().max(KEY_CHARS_MAX), text(VALUE_CHARS_MAX), {
    error: (issue) =>
      issue.code === 'invalid_key'
        ? `must have keys of at most ${KEY_CHARS_MAX} characters`
        : 'must be an object of strings',
  })
  .refine((value) => Object.keys(value).length <= PAIRS_MAX, {
    error: `must hold at most ${PAIRS_MAX} pairs`,
  })
  .meta({ maxProperties: PAIRS_MAX });
