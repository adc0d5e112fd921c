/**
 * The items of an answer while they are written. Each tells what becomes of it as events: it is added,
 * grows, and is done.
 */
import type { Logprobs } from '@qarr/router-core';

type Emit = (type: string, fields: object) => void;
type ItemStatus = 'in_progress' | 'completed' | 'incomplete';

export interface ResponseItem {
  close(status: Exclude<ItemStatus, 'in_progress'>): void;
  /** As it is now; one that is not closed is incomplete. */
  shown(): object;
}

export interface TextItem extends ResponseItem {
  add(text: string, logprobs?: Logprobs): void;
}

export interface CallItem extends ResponseItem {
  add(json: string): void;
}

interface Place {
  readonly id: string;
  readonly index: number;
  readonly emit: Emit;
}

const TEXT_KINDS = {
  message: {
    event: 'response.output_text',
    item: (id: string, status: ItemStatus, content: object[]) => {
      return { id, type: 'message', status, role: 'assistant', content };
    },
    part: (text: string, logprobs: object[]) => {
      return { type: 'output_text', text, annotations: [], logprobs };
    },
  },
  reasoning: {
    event: 'response.reasoning_text',
    item: (id: string, status: ItemStatus, content: object[]) => {
      return { id, type: 'reasoning', status, summary: [], content };
    },
    part: (text: string) => ({ type: 'reasoning_text', text }),
  },
};

/** A message, or what the model thought: an item of one part. */
export function createTextItem(
  kind: keyof typeof TEXT_KINDS,
  { id, index, emit }: Place,
): TextItem {
  const { event, item, part } = TEXT_KINDS[kind];
  const at = { item_id: id, output_index: index, content_index: 0 };
  const logprobs: object[] = [];
  let text = '';
  let status: ItemStatus = 'in_progress';

  const withLogprobs = (entries: object[]) => (kind === 'message' ? { logprobs: entries } : {});
  const shown = () => {
    return item(id, status === 'completed' ? status : 'incomplete', [part(text, logprobs)]);
  };

  emit('response.output_item.added', { output_index: index, item: item(id, status, []) });
  emit('response.content_part.added', { ...at, part: part('', []) });
  return {
    add(delta, probabilities) {
      const entries = logprobEntries(probabilities);
      text += delta;
      logprobs.push(...entries);
      emit(`${event}.delta`, { ...at, delta, ...withLogprobs(entries) });
    },
    close(end) {
      if (status !== 'in_progress') return;
      status = end;
      emit(`${event}.done`, { ...at, text, ...withLogprobs(logprobs) });
      emit('response.content_part.done', { ...at, part: part(text, logprobs) });
      emit('response.output_item.done', { output_index: index, item: shown() });
    },
    shown,
  };
}

export function createCallItem(
  { callId, name }: { callId: string; name: string },
  { id, index, emit }: Place,
): CallItem {
  const at = { item_id: id, output_index: index };
  let json = '';
  let status: ItemStatus = 'in_progress';

  const item = (standing: ItemStatus) => {
    return { id, type: 'function_call', status: standing, call_id: callId, name, arguments: json };
  };
  const shown = () => item(status === 'completed' ? status : 'incomplete');

  emit('response.output_item.added', { output_index: index, item: item(status) });
  return {
    add(delta) {
      if (delta === '') return;
      json += delta;
      emit('response.function_call_arguments.delta', { ...at, delta });
    },
    close(end) {
      if (status !== 'in_progress') return;
      status = end;
      emit('response.function_call_arguments.done', { ...at, name, arguments: json });
      emit('response.output_item.done', { output_index: index, item: shown() });
    },
    shown,
  };
}

/** Clients take no null for bytes. */
function logprobEntries(logprobs: Logprobs | undefined): object[] {
  return (logprobs?.content ?? []).map(({ top_logprobs: others, ...token }) => ({
    ...withBytes(token),
    top_logprobs: others.map(withBytes),
  }));
}

function withBytes<Token extends { bytes?: number[] | null | undefined }>(token: Token) {
  return { ...token, bytes: token.bytes ?? [] };
}
