/** Wires of `/v1/responses`: a stream as it should be, and with one thing left out or added. */
import { streamed } from './chat-wires.ts';
import type { Wire } from './wire-server.ts';

interface Event {
  readonly type: string;
  readonly [field: string]: unknown;
}

const RESPONSE = {
  id: 'resp_1',
  object: 'response',
  created_at: 1,
  status: 'in_progress',
  background: false,
  error: null,
  incomplete_details: null,
  instructions: null,
  max_output_tokens: null,
  model: 'fast',
  output: [] as object[],
  parallel_tool_calls: true,
  previous_response_id: null,
  reasoning: { effort: null, summary: null },
  store: true,
  temperature: 1,
  text: { format: { type: 'text' } },
  tool_choice: 'auto',
  tools: [],
  top_p: 1,
  truncation: 'disabled',
  usage: null as object | null,
  metadata: {},
};
const USAGE = {
  input_tokens: 5,
  input_tokens_details: { cached_tokens: 0 },
  output_tokens: 2,
  output_tokens_details: { reasoning_tokens: 0 },
  total_tokens: 7,
};
const PART = { type: 'output_text', text: 'Hello', annotations: [], logprobs: [] };
const ITEM = { id: 'msg_1', type: 'message', role: 'assistant' };
const PLACE = { item_id: 'msg_1', output_index: 0, content_index: 0 };
const DONE_ITEM = { ...ITEM, status: 'completed', content: [PART] };

const CREATED = { type: 'response.created', response: RESPONSE };
const QUEUED = { type: 'response.queued', response: { ...RESPONSE, status: 'queued' } };
const IN_PROGRESS = { type: 'response.in_progress', response: RESPONSE };
const ITEM_ADDED = {
  type: 'response.output_item.added',
  output_index: 0,
  item: { ...ITEM, status: 'in_progress', content: [] },
};
const PART_ADDED = {
  type: 'response.content_part.added',
  ...PLACE,
  part: { ...PART, text: '' },
};
const delta = (text: string, extra: object = { logprobs: [] }) => ({
  type: 'response.output_text.delta',
  ...PLACE,
  delta: text,
  ...extra,
});
const DONES = [
  { type: 'response.output_text.done', ...PLACE, text: 'Hello', logprobs: [] },
  { type: 'response.content_part.done', ...PLACE, part: PART },
  { type: 'response.output_item.done', output_index: 0, item: DONE_ITEM },
];
const COMPLETED = ended('completed', { output: [DONE_ITEM], usage: USAGE });

const OPENING = [CREATED, IN_PROGRESS, ITEM_ADDED, PART_ADDED];
const TEXT = [delta('Hel'), delta('lo')];
const GOOD = [...OPENING, ...TEXT, ...DONES, COMPLETED];
/** What is there when it ends in the middle. */
const BROKEN = [...OPENING, delta('Hel')];

export const RESPONSE_STREAMS: Readonly<Record<string, Wire>> = {
  'as it should be': wire(GOOD),
  '[DONE] at the end': streamed(`${wire(GOOD).body}data: [DONE]\n\n`),
  'comments of one newline': streamed(wire(GOOD).body.replaceAll('event:', ': hb\nevent:')),
  'no response.created': wire(without(CREATED)),
  'no response.in_progress': wire(without(IN_PROGRESS)),
  'no output_item.added': wire(without(ITEM_ADDED)),
  'no content_part.added': wire(without(PART_ADDED)),
  'none of the three done': wire(without(...DONES)),
  'no response.completed': wire(without(COMPLETED)),
  'no logprobs in deltas': wire([
    ...OPENING,
    delta('Hel', {}),
    delta('lo', {}),
    ...DONES,
    COMPLETED,
  ]),
  'no sequence numbers': wire(GOOD, { isNumbered: false }),
  'no usage': wire([...GOOD.slice(0, -1), ended('completed', { output: [DONE_ITEM] })]),
  'no output in created': wire([
    { type: 'response.created', response: { ...RESPONSE, output: undefined } },
    ...GOOD.slice(1),
  ]),
  'an unknown event': wire([CREATED, { type: 'response.position', position: 1 }, ...GOOD.slice(1)]),
  'an event of an unknown end': wire([
    ...BROKEN,
    { ...ended('cancelled'), type: 'response.cancelled' },
  ]),
  'queued again, with a key of its own': wire([
    CREATED,
    QUEUED,
    { ...QUEUED, response: { ...QUEUED.response, queue: { position: 1 } } },
    ...GOOD.slice(1),
  ]),
  'in progress without output, after items': wire([...OPENING, IN_PROGRESS, ...GOOD.slice(4)]),
  'a flat error': wire([
    ...BROKEN,
    { type: 'error', code: 'server_error', message: 'It broke', param: null },
  ]),
  'a nested error': wire([
    ...BROKEN,
    {
      type: 'error',
      error: { message: 'It broke', type: 'server_error', param: null, code: 'shutting_down' },
    },
  ]),
  'response.failed': wire([
    ...BROKEN,
    ended('failed', { error: { code: 'server_error', message: 'It broke' } }),
  ]),
  'response.incomplete': wire([
    ...BROKEN,
    ended('incomplete', {
      output: [DONE_ITEM],
      incomplete_details: { reason: 'max_output_tokens' },
    }),
  ]),
  'response.failed with status cancelled': wire([
    ...BROKEN,
    { ...ended('cancelled'), type: 'response.failed' },
  ]),
  'response.incomplete with status cancelled': wire([
    ...BROKEN,
    { ...ended('cancelled'), type: 'response.incomplete' },
  ]),
  'the least': wire([CREATED, ITEM_ADDED, PART_ADDED, ...TEXT, ...DONES.slice(2), COMPLETED]),
};

function ended(status: string, fields: object = {}): Event {
  return { type: `response.${status}`, response: { ...RESPONSE, status, ...fields } };
}

function without(...left: readonly Event[]): Event[] {
  return GOOD.filter((event) => !left.includes(event));
}

function wire(events: readonly Event[], { isNumbered = true } = {}): Wire {
  const frames = events.map((event, number) => {
    const data = isNumbered ? { ...event, sequence_number: number } : event;
    return `event: ${event.type}\ndata: ${JSON.stringify(data)}\n\n`;
  });
  return streamed(frames.join(''));
}
