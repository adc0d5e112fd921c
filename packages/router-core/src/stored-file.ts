/** A file that a client has stored, or that a batch has left: what is known of it beside its content. */
import { z } from 'zod';

/** Those of OpenAI; here only `batch` has a use, and `batch_output` is made by batches alone. */
const FILE_PURPOSES = [
  'assistants',
  'batch',
  'batch_output',
  'evals',
  'fine-tune',
  'user_data',
  'vision',
] as const;
export const filePurposeSchema = z.enum(
  FILE_PURPOSES,
  `must be one of ${FILE_PURPOSES.join(', ')}`,
);
export type FilePurpose = z.infer<typeof filePurposeSchema>;

/** Times are milliseconds since the epoch by Redis's clock. */
export const storedFileSchema = z.object({
  /** `file-` and 32 hexadecimal digits. */
  id: z.string(),
  owner: z.string(),
  filename: z.string(),
  purpose: filePurposeSchema,
  bytes: z.int().nonnegative(),
  /** Of its content, hexadecimal. */
  sha256: z.string(),
  createdAt: z.int(),
  /** From then on it is gone. */
  expiresAt: z.int(),
});
export type StoredFile = z.infer<typeof storedFileSchema>;

/** As it is written: the store adds Redis's clock. */
export type NewFile = Omit<StoredFile, 'createdAt' | 'expiresAt'> & { readonly keptMs: number };

/** Where its content lies in the file store. */
export function contentOf(fileId: string): string {
  return `files/${fileId}`;
}
