/** A file as OpenAI's clients know it. */
import { filePurposeSchema } from '@qarr/router-core';
import type { StoredFile } from '@qarr/router-core';
import { z } from 'zod';

export const fileObjectSchema = z.object({
  id: z.string(),
  object: z.literal('file'),
  bytes: z.int(),
  created_at: z.int(),
  expires_at: z.int(),
  filename: z.string(),
  purpose: filePurposeSchema,
  status: z.literal('processed'),
  status_details: z.null(),
});

export function fileObject(file: StoredFile): z.output<typeof fileObjectSchema> {
  return {
    id: file.id,
    object: 'file',
    bytes: file.bytes,
    created_at: seconds(file.createdAt),
    expires_at: seconds(file.expiresAt),
    filename: file.filename,
    purpose: file.purpose,
    status: 'processed',
    status_details: null,
  };
}

function seconds(ms: number): number {
  return Math.floor(ms / 1_000);
}
