/**
 * What a job keeps of the request that was sent to `/v1/responses`: how the response may be read, and
 * what it repeats that its engine request does not say.
 */
import { z } from 'zod';

export const storedResponseSchema = z.object({
  background: z.boolean(),
  stream: z.boolean(),
  /** False: nobody may look it up. */
  store: z.boolean(),
  /** The first message is what the request called `instructions`. */
  isInstructed: z.boolean(),
  /** How many of the last messages are the request's own input: those before are what it goes on from. */
  inputMessages: z.int().nonnegative(),
  previousResponseId: z.string().nullable(),
  serviceTier: z.enum(['default', 'flex']),
  truncation: z.enum(['auto', 'disabled']),
  user: z.string().nullable(),
});
export type StoredResponse = z.infer<typeof storedResponseSchema>;
