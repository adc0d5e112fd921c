/** Requests that came with their batch, as the input file that they become. */
import { createHash } from 'node:crypto';
import { contentOf } from '@qarr/router-core';
import type { BatchEndpoint, IdempotencyKey, InlineRequest } from '@qarr/router-core';
import type { BatchDeps } from './create-batch.ts';

const FILENAME = 'requests.jsonl';
/** Of an id. */
const DIGITS = 32;

/**
 * The same for the same request, so that sending it again overwrites nothing and leaves nothing behind.
 * The same key with another body is refused later, and must not touch the first one's file.
 */
export function inlineFileId(batchId: string, idempotency: IdempotencyKey | undefined): string {
  const text = JSON.stringify([batchId, idempotency?.bodyHash ?? null]);
  return `file-${createHash('sha256').update(text).digest('hex').slice(0, DIGITS)}`;
}
