/**
 * What a request goes on from: an earlier response as a whole, or single items of earlier answers that
 * it refers to instead of sending them again.
 */
import type { ProducerStore } from '@qarr/job-store';
import {
  PLACEHOLDER_ERROR,
  QarrError,
  messageHoldsPlaceholder,
  messagesOfItems,
} from '@qarr/router-core';
import type { RequestMessage, ResponseInputItem, ResponseRequest } from '@qarr/router-core';
import { requireScope } from '../caller.ts';
import type { Caller } from '../caller.ts';
import { findOwn } from '../find-job.ts';
import { findResponse, isResponse, shownId } from './find-response.ts';
import { jobIdOfItem } from './response-ids.ts';
import type { ResponseRecord } from './response-object.ts';
import { wholeResponse } from './whole-response.ts';

/** Earlier answers that one request may refer to; each is looked up. */
const REFERRED_MAX = 64;

interface Deps {
  readonly store: Pick<ProducerStore, 'get' | 'follow'>;
}

export async function goneBefore(
  { previous_response_id: id }: ResponseRequest,
  caller: Caller,
  deps: Deps,
): Promise<RequestMessage[]> {
  if (id === undefined) return [];
  // A model can be made to repeat it.
  requireScope(caller, 'read');
  const record = await findResponse(id, caller, deps).catch((error: unknown) => {
    throw error instanceof QarrError && error.code === 'response_not_found' ? unknown(id) : error;
  });
  // There is nothing to go on from before it has an answer.
  if (record.state !== 'completed') throw unknown(id);
  const { isInstructed } = record.response;
  return checked('previous_response_id', [
    ...record.request.messages.slice(isInstructed ? 1 : 0),
    ...messagesOfItems(await outputOf(record, deps)),
  ]);
}

/** The items of the input, with those in the place of references that these stand for. */
export async function resolveInput(
  { input: items }: ResponseRequest,
  caller: Caller,
  deps: Deps,
): Promise<ResponseInputItem[]> {
  const ids = items.flatMap(({ type, id }) => (type === 'item_reference' && id ? [id] : []));
  if (ids.length === 0) return items;
  requireScope(caller, 'read');

  const jobIds = [...new Set(ids.flatMap((id) => jobIdOfItem(id) ?? []))];
  if (jobIds.length > REFERRED_MAX) {
    throw new QarrError('invalid_request', {
      param: 'input',
      message: `input must refer to the items of at most ${REFERRED_MAX} responses.`,
    });
  }
  const known = new Map<string, ResponseInputItem>();
  for (const jobId of jobIds) {
    const record = await findOwn(jobId, caller, deps);
    if (record === null || !isResponse(record) || !record.response.store) continue;
    for (const item of await outputOf(record, deps)) known.set(item.id ?? '', item);
  }
  return items.map((item) => {
    if (item.type !== 'item_reference') return item;
    const found = known.get(item.id ?? '');
    if (found !== undefined) {
      checked('input', messagesOfItems([found]));
      return found;
    }
    throw new QarrError('response_not_found', {
      param: 'input',
      message: `Item with id '${shownId(item.id ?? '')}' not found.`,
    });
  });
}

async function outputOf(record: ResponseRecord, deps: Deps): Promise<ResponseInputItem[]> {
  const { output } = await wholeResponse(record, { place: null }, deps);
  // What is sent as an item may come back as one.
  return output as ResponseInputItem[];
}

/** What a model has written is as little to be trusted as what a client sends. */
function checked(param: string, messages: RequestMessage[]): RequestMessage[] {
  if (!messages.some(messageHoldsPlaceholder)) return messages;
  throw new QarrError('invalid_request', {
    param,
    message: `What ${param} refers to ${PLACEHOLDER_ERROR}.`,
  });
}

function unknown(id: string): QarrError {
  return new QarrError('previous_response_not_found', {
    param: 'previous_response_id',
    message: `Previous response with id '${shownId(id)}' not found.`,
  });
}
