/** Streams of responses, whatever is in them, put together by OpenAI's official client. */
import type { JobEvent } from '@qarr/router-core';
import { jobError } from '@qarr/router-core';
import fc from 'fast-check';
import { ResponseStream } from 'openai/lib/responses/ResponseStream';
import { expect, it } from 'vitest';
// An app has no other entry than its process.
import { createResponseEvents } from '../../apps/api/src/responses/response-events.ts';
import { logged, responseRecord } from '../../apps/api/src/responses/response-for-test.ts';
import { TIMINGS, USAGE } from '../harness/api.ts';
import { token } from '../harness/weather-tool.ts';

/** Each is read by the client, which is slow at it. */
const RUNS = { numRuns: 40 };

const queued: JobEvent = {
  type: 'queued',
  tier: 'fast',
  route: [],
  position: 1,
  estimated_wait_ms: null,
};
const moved: JobEvent = { type: 'rerouted', from: 'fast', to: 'precise', reason: 'alert' };
const started: JobEvent = { type: 'started', tier: 'precise', worker: 'w', attempt: 1 };
const ends: JobEvent[] = [
  { type: 'completed', finish_reason: 'stop', usage: USAGE, timings: TIMINGS },
  { type: 'completed', finish_reason: 'length', usage: null, timings: TIMINGS },
  { type: 'failed', error: jobError('worker_lost'), usage: null, timings: null },
  { type: 'cancelled', ran: true, tokens: null, usage: null, timings: null },
];

const delta = fc.oneof(
  fc.string().map((text): JobEvent => ({ type: 'delta', text })),
  fc.string().map((reasoning): JobEvent => ({ type: 'delta', text: '', reasoning })),
  fc.string({ minLength: 1 }).map((text): JobEvent => {
    return { type: 'delta', text, logprobs: { content: [token(text)] } };
  }),
  fc
    .record({ index: fc.nat(2), name: fc.constantFrom('', 'f'), json: fc.string() })
    .map(({ index, name, json }): JobEvent => ({
      type: 'delta',
      text: '',
      tool_calls: [{ index, id: `call_${index}`, function: { name, arguments: json } }],
    })),
);

/** Items, whatever has become of them. */
const shown = (items: readonly object[] = []) => items.map((item) => ({ ...item, status: '' }));

/** What the client makes of the events, read from another runtime. */
async function readAs(events: JobEvent[]) {
  const shape = createResponseEvents(responseRecord());
  const lines = shape
    .frames(logged(events))
    .split('\n')
    .flatMap((line) => (line.startsWith('data: ') ? [`${line.slice('data: '.length)}\n`] : []));
  const body = new Blob(lines).stream();
  const final = await ResponseStream.fromReadableStream(body).finalResponse();
  return { final, response: shape.response };
}

it('the client puts together what is kept', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(delta, { maxLength: 12 }),
      fc.constantFrom(...ends),
      async (deltas, end) => {
        const { final, response } = await readAs([queued, moved, started, ...deltas, end]);
        expect(final).toMatchObject(response ?? {});
      },
    ),
    RUNS,
  );
});

it('the client has put it together before it is told the whole', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(delta, { maxLength: 12 }), async (deltas) => {
      const events = [queued, started, ...deltas];
      const { final } = await readAs(events);
      const { response } = await readAs([...events, ends[2] as JobEvent]);
      expect(shown(final.output)).toMatchObject(shown(response?.output));
    }),
    RUNS,
  );
});
