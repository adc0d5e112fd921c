/** Requests that came with their batch, as the input file that they become. */
import { createHash } from 'node:crypto';
import { QarrError, contentOf } from '@qarr/router-core';
import type { BatchEndpoint, IdempotencyKey, InlineRequest } from '@qarr/router-core';
import { asClientProblem } from '../files/store-problem.ts';
import { tooMany, tooMuch } from '../files/upload-gate.ts';
import type { BatchDeps } from './create-batch.ts';

const FILENAME = 'requests.jsonl';
/** Of an id. */
const DIGITS = 32;
/** Far longer than writing takes; what a crash leaves without a record is removed after it. */
const ANNOUNCED_MS = 600_000;

/**
 * The same for the same request, so that sending it again overwrites nothing and leaves nothing behind.
 * The same key with another body is refused later, and must not touch the first one's file.
 */
export function inlineFileId(batchId: string, idempotency: IdempotencyKey | undefined): string {
  const text = JSON.stringify([batchId, idempotency?.bodyHash ?? null]);
  return `file-${createHash('sha256').update(text).digest('hex').slice(0, DIGITS)}`;
}

/** Where it throws, nothing is left, or the announcement says later what is to be removed. */
export async function storeInline(
  requests: readonly InlineRequest[],
  { fileId, owner, endpoint }: { fileId: string; owner: string; endpoint: BatchEndpoint },
  deps: BatchDeps,
): Promise<void> {
  const { store, files, gate, config } = deps;
  const content = Buffer.from(requests.map((request) => textOf(request, endpoint)).join(''));
  const bytesMax = config.files.batchFileBytesMax;
  if (content.length > bytesMax) {
    const message = `The requests are larger than ${bytesMax} bytes, which a file for batches may have.`;
    throw new QarrError('file_too_large', { param: 'requests', message });
  }
  try {
    const upload = await gate.enter(owner, content.length);
    try {
      await store.files.announce(fileId, ANNOUNCED_MS);
      const written = await files.write(contentOf(fileId), chunks(content), { bytesMax });
      const { keptMs, owner: limits } = config.files;
      const file = { id: fileId, owner, filename: FILENAME, purpose: 'batch' as const, keptMs };
      const { kind } = await store.files.create({ ...file, ...written }, limits);
      if (kind === 'created') return;
      await removeInline(fileId, deps);
      throw kind === 'too_many' ? tooMany(limits) : tooMuch(limits);
    } finally {
      upload.leave();
    }
  } catch (error) {
    throw asClientProblem(error);
  }
}

/** Of a batch that was not made after all. What cannot be removed now goes when its time is over. */
export async function removeInline(
  fileId: string,
  { store, files }: Pick<BatchDeps, 'store' | 'files'>,
): Promise<void> {
  try {
    await store.files.expire(fileId);
    await files.remove(contentOf(fileId));
    await store.files.remove(fileId);
  } catch {
    // As it says above; the client is told what it was refused for.
  }
}

/** A line as in any other input file. */
function textOf({ custom_id, body }: InlineRequest, url: BatchEndpoint): string {
  return `${JSON.stringify({ custom_id, method: 'POST', url, body })}\n`;
}

async function* chunks(content: Buffer): AsyncGenerator<Uint8Array> {
  yield content;
}
