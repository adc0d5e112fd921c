/**
 * Follows a batch to its end, and writes each outcome as it becomes durable.
 *
 * So each is fetched once: what shows the counts of the tiers is already the output, and after an
 * interruption only what follows is fetched.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { QarrClientError, isBatchOver } from '@qarr/client';
import type { Batch, QarrClient } from '@qarr/client';
import { messageOf } from '../cli-error.ts';
import { printable } from '../tiers/printable.ts';
import type { OutputFiles } from './output-files.ts';
import { createRateMeter, doneOf, timeLeftMs } from './progress.ts';
import type { Reporter } from './reporter.ts';

/** As many as the API gives at once. */
const PAGE_LINES = 1_000;
const LOOK_EVERY_MS = 1_000;
/** It looks less and less often where nothing comes. */
const LOOK_EVERY_MS_MAX = 5_000;
const AGAIN_MS_MIN = 250;
const AGAIN_MS_MAX = 15_000;
const NOTE_CHARS_MAX = 200;
/** A batch takes hours: an API that is restarted, or moved, is waited for. */
const GIVE_UP_AFTER_MS = 600_000;

export interface FollowDeps {
  readonly client: QarrClient;
  readonly files: OutputFiles;
  readonly reporter: Reporter;
  readonly signal: AbortSignal;
  /** Milliseconds of a clock that does not run backwards. */
  readonly now: () => number;
}

/**
 * Resolves to the batch when it is over and all of its outcomes are written.
 *
 * @param first as it was found, or made
 */
export async function followBatch(first: Batch, deps: FollowDeps): Promise<Batch> {
  const { id } = first;
  const { client, files, reporter, signal, now } = deps;
  const meter = createRateMeter();
  let lookEveryMs = LOOK_EVERY_MS;
  let batch = first;
  let isWritten = false;
  let lookedAtMs = now();
  for (;;) {
    showProgress();
    // What it has is in its files.
    if (batch.status === 'failed') break;
    const { cursor } = files;
    const page = await patiently(deps, () =>
      client.batches.results(id, { after: cursor, limit: PAGE_LINES, signal }),
    );
    if (page.data.length > 0) {
      await files.append(page.data, page.next_cursor);
      lookEveryMs = LOOK_EVERY_MS;
    }
    showProgress();
    const isAll = isBatchOver(page) && !page.has_more;
    if (isAll || now() - lookedAtMs >= LOOK_EVERY_MS) {
      batch = await patiently(deps, () => client.batches.get(id, { signal }));
      lookedAtMs = now();
    }
    isWritten = isAll && isBatchOver(batch);
    if (isWritten) break;
    if (page.has_more) continue;
    await sleep(lookEveryMs, null, { signal });
    lookEveryMs = Math.min(lookEveryMs * 1.2, LOOK_EVERY_MS_MAX);
  }
  showProgress();
  return batch;

  function showProgress(): void {
    const { request_counts: counts } = batch;
    const isFetching = isBatchOver(batch) && !isWritten && batch.status !== 'failed';
    const status = isFetching ? 'fetching' : batch.status;
    const { completed, failed, tiers } = files.tally;
    const total = counts.total === 0 ? null : counts.total;
    const done = doneOf({ completed, failed });
    const rate = meter.measure(done, now());
    const leftMs = timeLeftMs({ total, done, rate });
    reporter.progress({ status, total, completed, failed, tiers, rate, leftMs });
  }
}

/** Beyond the client's own tries: until it is answered, or for ten minutes. */
export async function patiently<T>(
  { reporter, signal, now }: Pick<FollowDeps, 'reporter' | 'signal' | 'now'>,
  ask: () => Promise<T>,
): Promise<T> {
  const beganAtMs = now();
  for (let waitMs = AGAIN_MS_MIN; ; waitMs = Math.min(waitMs * 2, AGAIN_MS_MAX)) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof QarrClientError) || !mayPass(error)) throw error;
      if (now() - beganAtMs > GIVE_UP_AFTER_MS) throw error;
      reporter.note(`no answer, trying again: ${printable(messageOf(error), NOTE_CHARS_MAX)}`);
      await sleep(Math.max(waitMs, error.retryAfterMs ?? 0), null, { signal });
    }
  }
}

/** A proxy in front of an API that is restarted may say anything of the kind. */
function mayPass({ retryable, code }: QarrClientError): boolean {
  return retryable || code === 'network_error' || code === 'timeout';
}
