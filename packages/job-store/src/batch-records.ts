/** Batches as a server sees them: make one, look it up, list, cancel. */
import type { BatchRecord, NewBatch, Segment } from '@qarr/router-core';

export type BatchCreation =
  | { readonly kind: 'created'; readonly batch: BatchRecord }
  /** The request was sent before, with the same idempotency key. */
  | { readonly kind: 'known'; readonly batch: BatchRecord }
  | { readonly kind: 'too_many' }
  | { readonly kind: 'key_reused' };

export interface BatchRecords {
  /**
   * Writing it again with the same id is safe. `openMax`: of an owner's batches that are not over;
   * `bodyHash`: of the request, where it has an idempotency key (which then makes the id).
   */
  create(
    batch: NewBatch,
    options: { openMax: number; bodyHash?: string | undefined },
  ): Promise<BatchCreation>;
  get(batchId: string): Promise<BatchRecord | null>;
  /** Newest first; `after`: the id of the last one of the page before. */
  list(options: {
    owner: string;
    limit: number;
    after: string | null;
  }): Promise<{ batches: BatchRecord[]; hasMore: boolean }>;
  /** Of an owner, not over. */
  open(owner: string): Promise<BatchRecord[]>;
  /** To `cancelling`, unless it is over. Returns it as it is then; null where there is none. */
  cancel(batchId: string): Promise<BatchRecord | null>;
  /** In the order in which they were made durable. */
  segments(batchId: string): Promise<Segment[]>;
  /** Lines whose jobs are in the system: waiting, running, or ended and not yet collected. */
  linesInSystem(batchId: string): Promise<number[]>;
}
