/** From a valid request to a batch that its runner will find, or to the one that its key stands for. */
import { createHash, randomUUID } from 'node:crypto';
import type { BatchCreation } from '@qarr/job-store';
import { QarrError, windowMsOf } from '@qarr/router-core';
import type { BatchRecord, BatchRequest, IdempotencyKey, NewBatch } from '@qarr/router-core';
import type { ApiDeps } from '../app.ts';
import type { Caller } from '../caller.ts';
import { findFile } from '../files/find-file.ts';
import type { UploadGate } from '../files/upload-gate.ts';
import type { BatchConfig } from './batch-config.ts';
import { inlineFileId, removeInline, storeInline } from './inline-requests.ts';
import { isOutcomeUnknown, unknownBecause } from '../unknown-outcome.ts';

const WINDOW_DEFAULT = '24h';
/** Of an id. */
const DIGITS = 32;
/** A batch takes minutes at least, and no client waits for longer by itself. */
const RETRY_AFTER_MS = 60_000;

export interface BatchDeps extends Pick<ApiDeps, 'store' | 'files' | 'config'> {
  /** For requests that become a file. */
  readonly gate: UploadGate;
}

export interface BatchOptions {
  readonly caller: Caller;
  readonly webhookUrl: string | null;
  readonly idempotency: IdempotencyKey | undefined;
  /** Of the request that asks for it. */
  readonly traceparent: string;
  readonly requestId: string;
  /** Called before it throws where nobody knows whether there is a batch now, and no key tells. */
  readonly onUnknownOutcome: () => void;
}

export interface AcceptedBatch {
  readonly batch: BatchRecord;
  /** It was there already. */
  readonly isKnown: boolean;
}

export async function createBatch(
  body: BatchRequest,
  options: BatchOptions,
  deps: BatchDeps,
): Promise<AcceptedBatch> {
  try {
    return await create(body, options, deps);
  } catch (error) {
    throw options.idempotency === undefined ? error : withAdvice(error, KEY_ADVICE);
  }
}

async function create(
  body: BatchRequest,
  options: BatchOptions,
  deps: BatchDeps,
): Promise<AcceptedBatch> {
  const { caller, idempotency } = options;
  const { batches } = deps.store;
  const window = body.completion_window ?? WINDOW_DEFAULT;
  const windowMs = checkedWindowMs(window, deps.config.batches);
  const id = idempotency === undefined ? newId() : idOfKey(caller.owner, idempotency.key);
  const known = idempotency === undefined ? null : await batches.get(id);
  // What has become of its file since then does not matter.
  const inputFileId =
    known?.inputFileId ?? (await inputFileOf(body, { ...options, batchId: id }, deps));
  const { keyId, limits } = caller;
  const { tokensPerDay } = limits;
  const batch: NewBatch = {
    id,
    owner: caller.owner,
    endpoint: body.endpoint,
    inputFileId,
    completionWindow: window,
    windowMs,
    metadata: body.metadata ?? null,
    quota: keyId === null || tokensPerDay === null ? null : { keyId, tokensPerDay },
    webhookUrl: options.webhookUrl,
    outputKeptMs: outputKeptMs(body, deps),
    traceparent: options.traceparent,
    requestId: options.requestId,
  };
  const { openMax } = deps.config.batches;
  const bodyHash = idempotency?.bodyHash;
  const created = await write(() => batches.create(batch, { openMax, bodyHash }), options);
  if (created.kind === 'created') return { batch: created.batch, isKnown: false };
  if (created.kind === 'known') return { batch: created.batch, isKnown: true };
  // With a key, another request with the same body may have made the batch by now.
  const isMine = idempotency === undefined || created.kind === 'key_reused';
  if (body.requests !== undefined && known === null && isMine)
    await removeInline(inputFileId, deps);
  if (created.kind === 'too_many') throw tooMany(openMax);
  throw new QarrError('idempotency_key_reused', { param: 'Idempotency-Key' });
}

function checkedWindowMs(
  window: string,
  { completionMsMin, completionMsMax }: BatchConfig,
): number {
  const windowMs = windowMsOf(window);
  if (windowMs >= completionMsMin && windowMs <= completionMsMax) return windowMs;
  throw new QarrError('invalid_request', {
    param: 'completion_window',
    message: `completion_window must be from ${spoken(completionMsMin)} to ${spoken(completionMsMax)}.`,
  });
}

/** In the largest unit that says it without a fraction. */
function spoken(ms: number): string {
  const units = [
    [86_400_000, 'd'],
    [3_600_000, 'h'],
  ] as const;
  const [unitMs, unit] = units.find(([size]) => ms % size === 0) ?? [60_000, 'm'];
  return `${Math.ceil(ms / unitMs)}${unit}`;
}

/** The file that it names, or one that is made of the requests that it holds. */
async function inputFileOf(
  body: BatchRequest,
  { caller, idempotency, batchId }: BatchOptions & { batchId: string },
  deps: BatchDeps,
): Promise<string> {
  if (body.requests === undefined) return checkedFileId(body.input_file_id ?? '', caller, deps);
  const { openMax } = deps.config.batches;
  // Nothing is written that would be removed at once.
  if ((await deps.store.batches.open(caller.owner)).length >= openMax) throw tooMany(openMax);
  const fileId = inlineFileId(batchId, idempotency);
  await storeInline(body.requests, { fileId, endpoint: body.endpoint, owner: caller.owner }, deps);
  return fileId;
}

async function checkedFileId(fileId: string, caller: Caller, deps: BatchDeps): Promise<string> {
  const param = 'input_file_id';
  const { id, purpose } = await findFile(fileId, caller, deps).catch((error: unknown) => {
    if (!(error instanceof QarrError) || error.code !== 'file_not_found') throw error;
    throw new QarrError('file_not_found', { param });
  });
  if (purpose === 'batch') return id;
  throw new QarrError('invalid_request', {
    param,
    message: `${param} must name a file of purpose "batch"; this one has "${purpose}".`,
  });
}

function outputKeptMs(
  { output_expires_after: after }: BatchRequest,
  { config }: BatchDeps,
): number {
  return after === undefined ? config.files.keptMs : after.seconds * 1_000;
}

function newId(): string {
  return `batch_${randomUUID().replaceAll('-', '')}`;
}

/** The same for the same key, so that there is but one batch for it. */
function idOfKey(owner: string, key: string): string {
  const digits = createHash('sha256')
    .update(JSON.stringify([owner, key]))
    .digest('hex');
  return `batch_${digits.slice(0, DIGITS)}`;
}

/** Without a key, what fails before this has made nothing, and may be tried again. */
async function write(
  createIt: () => Promise<BatchCreation>,
  { idempotency, onUnknownOutcome }: Pick<BatchOptions, 'idempotency' | 'onUnknownOutcome'>,
): Promise<BatchCreation> {
  try {
    return await createIt();
  } catch (error) {
    if (idempotency !== undefined || !isUnknownOutcome(error)) throw error;
    onUnknownOutcome();
    throw withAdvice(error, NO_KEY_ADVICE);
  }
}

const KEY_ADVICE = 'send it again with the same Idempotency-Key, which makes no second one';
const NO_KEY_ADVICE = 'sending it again may make a second one, which an Idempotency-Key prevents';

/** Where the outcome is unknown, says what it is safe to do next. */
function withAdvice(cause: unknown, advice: string): unknown {
  if (!isUnknownOutcome(cause)) return cause;
  const message = `${unknownBecause(cause.code)} The batch may or may not have been created: ${advice}.`;
  return new QarrError(cause.code, { message, cause });
}

function isUnknownOutcome(error: unknown): error is QarrError {
  return error instanceof QarrError && isOutcomeUnknown(error.code);
}

function tooMany(openMax: number): QarrError {
  return new QarrError('rate_limit_exceeded', {
    message: `Batch limit reached: ${openMax} batches that are not over at once. Wait for one to end, or cancel one.`,
    retryAfterMs: RETRY_AFTER_MS,
  });
}
