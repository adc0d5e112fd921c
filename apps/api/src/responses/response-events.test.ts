import { QarrError, jobError } from '@qarr/router-core';
import type { JobEvent } from '@qarr/router-core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createResponseEvents } from './response-events.ts';
import { eventsIn, logged, responseRecord } from './response-for-test.ts';
import type { SentEvent } from './response-for-test.ts';

const queued: JobEvent = {
  type: 'queued',
  tier: 'fast',
  route: ['default'],
  position: 3,
  estimated_wait_ms: 1_200,
};
const started = (attempt = 1): JobEvent => ({
  type: 'started',
  tier: 'fast',
  worker: 'w',
  attempt,
});
const said = (text: string): JobEvent => ({ type: 'delta', text });
const thought = (reasoning: string): JobEvent => ({ type: 'delta', text: '', reasoning });
const timings = { queue_wait_ms: 1_000, ttft_ms: 1, run_ms: 2_000 };
const usage = { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 };
const completed = (finish_reason: 'stop' | 'length' | 'tool_calls' = 'stop'): JobEvent => ({
  type: 'completed',
  finish_reason,
  usage,
  timings,
});
const call = (index: number, fields: { id?: string; name?: string; json?: string }): JobEvent => ({
  type: 'delta',
  text: '',
  tool_calls: [
    { index, id: fields.id, function: { name: fields.name, arguments: fields.json ?? '' } },
  ],
});

type Reader = Parameters<typeof createResponseEvents>[1];

function sent(events: JobEvent[], reader?: Reader): SentEvent[] {
  const shape = createResponseEvents(responseRecord(), reader);
  return eventsIn(shape.frames(logged(events)));
}
const numbersOf = (events: SentEvent[]) => events.map((event) => event.sequence_number);
const typesOf = (events: SentEvent[]) => events.map(({ type }) => type.replace('response.', ''));
const lastOf = (events: SentEvent[]) => events.at(-1)?.['response'] as Record<string, unknown>;

describe('the events of a response', () => {
  it('say where it waits, and what becomes of it', () => {
    const events = sent([queued, started(), said('Hel'), said('lo'), completed()]);
    expect(typesOf(events)).toEqual([
      'created',
      'queued',
      'in_progress',
      'output_item.added',
      'content_part.added',
      'output_text.delta',
      'output_text.delta',
      'output_text.done',
      'content_part.done',
      'output_item.done',
      'completed',
    ]);
    expect(events[1]).toMatchObject({
      response: {
        id: 'resp_0a1b',
        status: 'queued',
        output: [],
        queue: { position: 3, tier: 'fast', estimated_wait_ms: 1_200 },
      },
    });
    expect(lastOf(events)).toMatchObject({
      status: 'completed',
      completed_at: 1_790_000_003,
      output: [
        {
          id: 'msg_0a1b_0',
          status: 'completed',
          content: [{ type: 'output_text', text: 'Hello', annotations: [], logprobs: [] }],
        },
      ],
      usage: { input_tokens: 5, output_tokens: 2, total_tokens: 7 },
    });
    expect(lastOf(events)).not.toHaveProperty('queue');
  });

  it('put what the model thought before what it says', () => {
    const events = sent([queued, started(), thought('H'), thought('m'), said('Hi'), completed()]);
    expect(typesOf(events).slice(3, 14)).toEqual([
      'output_item.added',
      'content_part.added',
      'reasoning_text.delta',
      'reasoning_text.delta',
      'reasoning_text.done',
      'content_part.done',
      'output_item.done',
      'output_item.added',
      'content_part.added',
      'output_text.delta',
      'output_text.done',
    ]);
    expect(lastOf(events)['output']).toMatchObject([
      { id: 'rs_0a1b_0', type: 'reasoning', content: [{ type: 'reasoning_text', text: 'Hm' }] },
      { id: 'msg_0a1b_0', type: 'message' },
    ]);
  });

  it('show calls of tools, also where they come in turn or name themselves late', () => {
    const events = sent([
      queued,
      started(),
      said('Let me see.'),
      call(0, { id: 'call_a', name: 'one', json: '{"a"' }),
      call(1, { json: '{' }),
      call(1, { id: 'call_b', name: 'two' }),
      call(0, { name: 'one', json: ':1}' }),
      call(1, { json: '}' }),
      call(2, { name: 'three' }),
      completed('tool_calls'),
    ]);
    expect(lastOf(events)).toMatchObject({
      status: 'completed',
      output: [
        { type: 'message', status: 'completed' },
        { id: 'fc_0a1b_0', call_id: 'call_a', name: 'one', arguments: '{"a":1}' },
        { id: 'fc_0a1b_1', call_id: 'call_b', name: 'two', arguments: '{}' },
        { id: 'fc_0a1b_2', call_id: 'call_0a1b_2', name: 'three', arguments: '' },
      ],
    });
    const deltas = events.filter(({ type }) => type.endsWith('arguments.delta'));
    expect(deltas.map(({ output_index: index, delta }) => [index, delta])).toEqual([
      [1, '{"a"'],
      [2, '{'],
      [1, ':1}'],
      [2, '}'],
    ]);
  });

  it('are incomplete where there were too few tokens', () => {
    const events = sent([queued, started(), said('Hel'), completed('length')]);
    expect(events.at(-1)?.type).toBe('response.incomplete');
    expect(lastOf(events)).toMatchObject({
      status: 'incomplete',
      incomplete_details: { reason: 'max_output_tokens' },
      completed_at: null,
      output: [{ status: 'incomplete' }],
    });
  });

  it('hold an empty message where the answer is empty', () => {
    expect(lastOf(sent([queued, started(), completed()]))['output']).toMatchObject([
      { type: 'message', content: [{ text: '' }] },
    ]);
  });

  it('keep what there is of one that fails, or is cancelled', () => {
    const begun = [queued, started(), said('Hel')];
    const failed = sent([
      ...begun,
      { type: 'failed', error: jobError('worker_lost'), usage, timings },
    ]);
    expect(failed.at(-1)?.type).toBe('response.failed');
    expect(lastOf(failed)).toMatchObject({
      status: 'failed',
      error: { code: 'server_error', qarr: { code: 'worker_lost' } },
      output: [{ status: 'incomplete', content: [{ text: 'Hel' }] }],
    });
    const cancelled = sent([
      ...begun,
      { type: 'cancelled', ran: true, tokens: 1, usage: null, timings: null },
    ]);
    expect(cancelled.at(-1)?.type).toBe('response.failed');
    expect(lastOf(cancelled)).toMatchObject({
      status: 'cancelled',
      error: null,
      output: [{ content: [{ text: 'Hel' }] }],
    });
    const refused = sent([
      queued,
      { type: 'failed', error: jobError('upstream_rejected'), usage: null, timings: null },
    ]);
    expect(lastOf(refused)).toMatchObject({ error: { code: 'invalid_prompt' }, output: [] });
  });

  it('name the tier that has it', () => {
    const moved: JobEvent = { type: 'rerouted', from: 'fast', to: 'precise', reason: 'alert' };
    const events = sent([queued, moved, { ...started(), tier: 'precise' } as JobEvent]);
    expect(typesOf(events)).toEqual(['created', 'queued', 'queued', 'in_progress']);
    expect(events.map((event) => (event['response'] as { model: string }).model)).toEqual([
      'fast',
      'fast',
      'precise',
      'precise',
    ]);
  });

  it('show nothing of another attempt that carries on', () => {
    const events = sent([queued, started(), said('Hel'), started(2), said('lo'), completed()]);
    expect(typesOf(events).filter((type) => type === 'in_progress')).toHaveLength(1);
    expect(lastOf(events)['output']).toMatchObject([{ content: [{ text: 'Hello' }] }]);
  });

  it('end with an error where the answer begins anew, and before their end', () => {
    const events = sent([queued, started(), said('Hel'), { type: 'reset', attempt: 2 }, said('X')]);
    expect(events.at(-1)).toEqual({
      type: 'error',
      error: expect.objectContaining({
        code: 'upstream_interrupted',
        message: expect.stringContaining('from its beginning'),
      }),
    });
    const shape = createResponseEvents(responseRecord());
    expect(eventsIn(shape.errorFrame(new QarrError('shutting_down')))).toMatchObject([
      { type: 'error', error: { code: 'shutting_down' } },
    ]);
    expect(shape.isOver).toBe(true);
  });

  it('have log probabilities without nulls', () => {
    const token = { token: 'Hi', logprob: -0.5, bytes: null, top_logprobs: [] };
    const delta: JobEvent = { type: 'delta', text: 'Hi', logprobs: { content: [token] } };
    const events = sent([queued, started(), delta, completed()]);
    const entry = { ...token, bytes: [] };
    expect(events.find(({ type }) => type.endsWith('text.delta'))).toMatchObject({
      logprobs: [entry],
    });
    expect(lastOf(events)['output']).toMatchObject([{ content: [{ logprobs: [entry] }] }]);
  });
});

describe('the events of a response that has begun anew', () => {
  const reset: JobEvent = { type: 'reset', attempt: 2 };
  const events = [queued, started(), thought('Hm'), said('No'), call(0, { name: 'f' }), reset];
  const voidUntil = events.length;
  const whole = [...events, started(2), said('An'), said('ew'), completed()];
  const news = sent(whole, { voidUntil });
  /** Before any text, and of the new one. */
  const [first = 0, next = 0] = [numbersOf(news)[2], numbersOf(news)[3]];

  it('leave out what was void for whoever has nothing of it', () => {
    expect(typesOf(news).slice(2)).toEqual([
      'in_progress',
      'output_item.added',
      'content_part.added',
      'output_text.delta',
      'output_text.delta',
      'output_text.done',
      'content_part.done',
      'output_item.done',
      'completed',
    ]);
    expect(news.find(({ type }) => type.endsWith('item.added'))).toMatchObject({
      output_index: 0,
      item: { id: 'msg_0a1b_0' },
    });
    expect(lastOf(news)).toMatchObject({
      status: 'completed',
      output: [{ id: 'msg_0a1b_0', content: [{ text: 'Anew' }] }],
    });
    expect(lastOf(news)['output']).toHaveLength(1);
  });

  it('have the numbers that they would have for anybody', () => {
    // Who reads along is sent what becomes void: the numbers between are of that.
    const along = sent(events.slice(0, -1));
    expect(numbersOf(along)).toEqual(along.map((_, at) => at));
    expect(first).toBe(2);
    expect(next).toBe(along.length);
    for (let after = -1; after <= (numbersOf(news).at(-1) ?? 0) + 1; after += 1) {
      if (after > first && after < next) continue;
      const rest = news.filter((event) => event.sequence_number > after);
      expect(sent(whole, { voidUntil, after })).toEqual(rest);
      // Nobody who has some of the new text is kept from the rest of it.
      if (after >= next) expect(sent(whole, { after })).toEqual(rest);
    }
  });

  it('are an error for whoever has some of what was void, as often as it asks', () => {
    for (let after = first + 1; after < next; after += 1) {
      expect(typesOf(sent(whole, { voidUntil, after }))).toEqual(['error']);
    }
    expect(typesOf(sent(whole)).at(-1)).toBe('error');
    // Once more, while it is read.
    const twice = sent([...events, started(2), said('An'), reset, said('x')], { voidUntil });
    expect(typesOf(twice).slice(3)).toEqual([
      'output_item.added',
      'content_part.added',
      'output_text.delta',
      'error',
    ]);
  });

  it('leave out all that was void', () => {
    const last = [said('Yes'), call(0, { name: 'g' }), completed('tool_calls')];
    const thrice = [...events, started(2), said('An'), reset, started(3), ...last];
    const seen = sent(thrice, { voidUntil: thrice.lastIndexOf(reset) + 1 });
    expect(typesOf(seen).filter((type) => type === 'output_text.delta')).toHaveLength(1);
    expect(lastOf(seen)['output']).toMatchObject([
      { content: [{ text: 'Yes' }] },
      { id: 'fc_0a1b_0', name: 'g', arguments: '' },
    ]);
  });
});

/** The only event that is left. */
const lastEvent = (seq: number) => logged([completed()]).map((event) => ({ ...event, seq }));

describe('the events of a response whose log is gone', () => {
  const result = { text: 'Hello', reasoning: 'Hm', finish_reason: 'stop' as const };

  it('are made of its result', () => {
    const shape = createResponseEvents(responseRecord());
    const events = eventsIn(shape.stored(result) + shape.frames(lastEvent(9)));
    expect(events[0]?.type).toBe('response.created');
    expect(events.map((event) => event.sequence_number)).toEqual(events.map((_, at) => at));
    expect(lastOf(events)).toMatchObject({
      status: 'completed',
      output: [{ type: 'reasoning' }, { content: [{ text: 'Hello' }] }],
    });
  });

  it.each([0, 7, 5_000])('are only the end for whoever has seen some of them (%s)', (after) => {
    const shape = createResponseEvents(responseRecord(), { after });
    const events = eventsIn(shape.stored(result) + shape.frames(lastEvent(9)));
    expect(events).toMatchObject([{ type: 'response.completed', sequence_number: after + 1 }]);
    const failing = createResponseEvents(responseRecord(), { after });
    const failed: JobEvent = {
      type: 'expired',
      error: jobError('queue_timeout'),
      usage: null,
      timings: null,
    };
    expect(eventsIn(failing.frames(logged([failed])))).toMatchObject([
      { type: 'response.failed', sequence_number: after + 1 },
    ]);
  });
});

describe('whatever the log', () => {
  const delta = fc.oneof(
    fc.string({ minLength: 1 }).map(said),
    fc.string({ minLength: 1 }).map(thought),
    fc
      .record({
        index: fc.nat(3),
        id: fc.option(fc.constantFrom('a', 'b'), { nil: undefined }),
        name: fc.option(fc.constant('f'), { nil: undefined }),
        json: fc.string(),
      })
      .map(({ index, id, name, json }) =>
        call(index, {
          ...(id === undefined ? {} : { id: `${id}${index}` }),
          ...(name === undefined ? {} : { name }),
          json,
        }),
      ),
    fc.constant(started(2)),
  );
  const end = fc.constantFrom<JobEvent[]>(
    [completed()],
    [completed('length')],
    [{ type: 'failed', error: jobError('worker_lost'), usage: null, timings: null }],
    [{ type: 'cancelled', ran: true, tokens: null, usage: null, timings: null }],
    [],
  );
  const log = fc
    .tuple(fc.array(delta, { maxLength: 12 }), end)
    .map(([deltas, last]) => [queued, started(), ...deltas, ...last]);

  it('events are numbered without a gap, and any resumption gives exactly the rest', () => {
    fc.assert(
      fc.property(
        log,
        fc.array(fc.nat(14)),
        fc.integer({ min: -1, max: 60 }),
        (events, cuts, after) => {
          const whole = createResponseEvents(responseRecord()).frames(logged(events));
          const all = eventsIn(whole);
          expect(all.map((event) => event.sequence_number)).toEqual(all.map((_, at) => at));

          const pages = logged(events);
          const paged = createResponseEvents(responseRecord(), { after });
          let rest = '';
          let from = 0;
          for (const cut of [...cuts.toSorted((a, b) => a - b), pages.length]) {
            rest += paged.frames(pages.slice(from, Math.max(from, cut)));
            from = Math.max(from, cut);
          }
          expect(eventsIn(rest)).toEqual(all.slice(after + 1));
        },
      ),
    );
  });
});
