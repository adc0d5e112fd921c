/**
 * `POST /v1/batches`: OpenAI's body, and beside it the requests themselves in place of a file, a webhook
 * and other completion windows. What is in a file is looked at later, by the batch's runner.
 */
import { z } from 'zod';
import { batchEndpointSchema } from './batch.ts';
import type { BatchEndpoint } from './batch.ts';
import { CUSTOM_ID_CHARS_MAX } from './batch-line.ts';
import { metadataSchema } from './metadata.ts';
import { name, text, wholeNumber } from './request-fields.ts';
import { webhookFields } from './webhook-fields.ts';

/** OpenAI's limits of how long files are kept. */
const EXPIRY_S_MIN = 3_600;
const EXPIRY_S_MAX = 2_592_000;
const WINDOW_ERROR = 'must be a number of minutes, hours or days, such as "90m", "24h" or "7d"';
const UNIT_MS = { m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** A line of an input file; here method and URL may be left out, since there is but one of each. */
const inlineRequestSchema = z.strictObject(
  {
    custom_id: text(CUSTOM_ID_CHARS_MAX).min(1, 'must not be empty'),
    method: z.literal('POST', 'must be "POST"').optional(),
    url: batchEndpointSchema.optional(),
    body: z.record(z.string(), z.unknown(), 'must be an object'),
  },
  { error: (issue) => (issue.code === 'unrecognized_keys' ? undefined : 'must be an object') },
);
export type InlineRequest = z.infer<typeof inlineRequestSchema>;

export const batchRequestSchema = z
  .strictObject(
    {
      input_file_id: name().optional(),
      requests: z
        .array(inlineRequestSchema, 'must be a list')
        .min(1, 'must not be empty')
        .optional()
        .describe('The lines themselves, in place of input_file_id; they become an input file'),
      endpoint: batchEndpointSchema,
      completion_window: z
        .string(WINDOW_ERROR)
        .regex(/^[1-9]\d{0,4}[mhd]$/, WINDOW_ERROR)
        .optional()
        .describe('Default: 24h'),
      metadata: metadataSchema.optional(),
      output_expires_after: z
        .strictObject(
          {
            anchor: z.literal('created_at', 'must be "created_at"'),
            seconds: wholeNumber(EXPIRY_S_MIN, EXPIRY_S_MAX),
          },
          {
            error: (issue) =>
              issue.code === 'unrecognized_keys' ? undefined : 'must be an object',
          },
        )
        .optional()
        .describe('How long its files are kept'),
      webhook_url: webhookFields.webhook_url,
    },
    {
      error: (issue) => (issue.code === 'unrecognized_keys' ? undefined : 'must be a JSON object'),
    },
  )
  .superRefine(checkSource)
  .meta({ oneOf: [{ required: ['input_file_id'] }, { required: ['requests'] }] });
export type BatchRequest = z.infer<typeof batchRequestSchema>;

interface Source {
  input_file_id?: string | undefined;
  requests?: readonly InlineRequest[] | undefined;
  endpoint: BatchEndpoint;
}

function checkSource(
  { input_file_id: fileId, requests, endpoint }: Source,
  context: z.RefinementCtx,
): void {
  if (fileId === undefined && requests === undefined) {
    const message = 'is required (or requests)';
    context.addIssue({ code: 'custom', path: ['input_file_id'], message });
  } else if (fileId !== undefined && requests !== undefined) {
    const message = 'excludes input_file_id';
    context.addIssue({ code: 'custom', path: ['requests'], message });
  }
  const ids = new Set<string>();
  for (const [index, { custom_id: id, url = endpoint }] of (requests ?? []).entries()) {
    if (url !== endpoint) {
      const message = `must be the batch's endpoint, ${endpoint}`;
      context.addIssue({ code: 'custom', path: ['requests', index, 'url'], message });
    }
    if (ids.has(id)) {
      const message = 'was used before in this list';
      context.addIssue({ code: 'custom', path: ['requests', index, 'custom_id'], message });
    }
    ids.add(id);
  }
}

/** @param window as the schema takes it */
export function windowMsOf(window: string): number {
  const [, number = '', unit = ''] = /^(\d+)([mhd])$/.exec(window) ?? [];
  return Number(number) * UNIT_MS[unit as keyof typeof UNIT_MS];
}
