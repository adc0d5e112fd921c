/** What a key may do, and how it is kept. The key itself is kept nowhere. */
import { z } from 'zod';
import { jobClassSchema } from './job.ts';
import type { JobClass } from './job.ts';

/** `admin` shows what concerns all tenants: workers, engines, hosts. */
export const SCOPES = ['submit', 'read', 'cancel', 'batch', 'admin'] as const;
const scopeSchema = z.enum(SCOPES, `must be one of ${SCOPES.join(', ')}`);
export type Scope = z.infer<typeof scopeSchema>;

/** More is no limit that anybody would notice. */
const LIMIT_MAX = 1_000_000_000_000;
const LIMIT_ERROR = 'must be a whole number from 1';
const OWNER_ERROR = 'must be 1 to 64 of a-z, 0-9, "-" and "_", and begin with a letter or a digit';
const SCOPES_ERROR = `must be some of ${SCOPES.join(', ')}`;

const limitSchema = z.int(LIMIT_ERROR).min(1, LIMIT_ERROR).max(LIMIT_MAX, LIMIT_ERROR).nullable();

/** Null: as many as come. */
const limitFields = {
  /** Submitting requests in a minute. */
  rpm: limitSchema,
  /** Jobs that wait or run at once. */
  concurrency: limitSchema,
  /** Tokens of prompts and answers in a day of UTC. */
  tokensPerDay: limitSchema,
};
const keyLimitsSchema = z.object(limitFields);
export type KeyLimits = z.infer<typeof keyLimitsSchema>;
export const NO_LIMITS: KeyLimits = { rpm: null, concurrency: null, tokensPerDay: null };

const grantFields = {
  /** Whose jobs it makes, and sees. It becomes part of names in Redis. */
  owner: z.string(OWNER_ERROR).regex(/^[a-z0-9][a-z0-9_-]{0,63}$/, OWNER_ERROR),
  scopes: z.array(scopeSchema).min(1, SCOPES_ERROR),
  /** The highest class that its jobs may have. */
  maxClass: jobClassSchema,
  ...limitFields,
};

/** What a new key is asked to be. */
export const keyGrantSchema = z
  .object(grantFields)
  .refine(({ maxClass, scopes }) => maxClass !== 'batch' || scopes.includes('batch'), {
    path: ['maxClass'],
    message: 'batch needs the scope batch',
  });
export type KeyGrant = z.infer<typeof keyGrantSchema>;

/** One text by which a key is known: while a key is rotated it has two. */
const keyTextSchema = z.object({
  /** HMAC of the text. */
  digest: z.string(),
  lastFour: z.string(),
  /** When it is not good any more; null: it does not end. Milliseconds since the epoch. */
  until: z.int().nullable(),
});
export type KeyText = z.infer<typeof keyTextSchema>;

export const apiKeySchema = z.object({
  id: z.string(),
  ...grantFields,
  createdAt: z.int(),
  revokedAt: z.int().nullable(),
  /** Newest first. */
  texts: z.array(keyTextSchema).min(1),
});
export type ApiKey = z.infer<typeof apiKeySchema>;

/**
 * Whether it may be used now, by one of these texts.
 * @param now milliseconds since the epoch
 */
export function isUsable(
  { revokedAt, texts }: Pick<ApiKey, 'revokedAt' | 'texts'>,
  now: number,
): boolean {
  return revokedAt === null && texts.some(({ until }) => until === null || now < until);
}

/** From the highest to the lowest: who is served first. */
const CLASS_ORDER: readonly JobClass[] = jobClassSchema.options;

export function isAbove(jobClass: JobClass, max: JobClass): boolean {
  return CLASS_ORDER.indexOf(jobClass) < CLASS_ORDER.indexOf(max);
}

/** The class of a job whose client has named none. */
export function lowered(jobClass: JobClass, max: JobClass): JobClass {
  return isAbove(jobClass, max) ? max : jobClass;
}
