import { jobEventSchema } from '@qarr/router-core';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EVENT_ARGS, TOLD_BEFORE, createDeltaBuffer } from './delta-buffer.ts';
import type { AnswerDelta } from './delta-buffer.ts';

interface Event {
  readonly delta: Extract<ReturnType<typeof jobEventSchema.parse>, { type: 'delta' }>;
  readonly ids: string;
}

function eventsOf(args: readonly string[]): Event[] {
  const events: Event[] = [];
  for (let at = 0; at < args.length; at += EVENT_ARGS) {
    const delta = jobEventSchema.parse(JSON.parse(args[at + 1] ?? ''));
    if (delta.type !== 'delta') throw new Error(`A ${delta.type} is no delta`);
    events.push({ delta, ids: args[at + 2] ?? '' });
  }
  return events;
}

const anyDelta: fc.Arbitrary<AnswerDelta> = fc.record(
  {
    text: fc.oneof(fc.string({ unit: 'binary', maxLength: 20 }), fc.constant('é🙂'.repeat(5_000))),
    index: fc.constantFrom(undefined, 1),
    reasoning: fc.constantFrom(undefined, '', 'because'),
    tokenIds: fc.array(fc.nat(9), { maxLength: 3 }),
    toolCalls: fc.constantFrom(undefined, [{ index: 0, id: 'call' }]),
  },
  { requiredKeys: ['text'] },
);

describe('the deltas that wait', () => {
  it('keep their text, their tokens and their order, however often they are taken', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(anyDelta, fc.boolean())), (steps) => {
        const buffer = createDeltaBuffer();
        const args: string[] = [];
        for (const [delta, takes] of steps) {
          buffer.add(delta);
          if (takes) args.push(...buffer.take());
        }
        args.push(...buffer.take());
        expect(buffer.isEmpty).toBe(true);

        const events = eventsOf(args);
        const given = steps.map(([delta]) => delta);
        for (const index of [undefined, 1]) {
          const textOf = (deltas: readonly { index?: number | undefined; text: string }[]) =>
            deltas
              .filter((delta) => delta.index === index)
              .map(({ text }) => text)
              .join('');
          expect(textOf(events.map(({ delta }) => delta))).toBe(textOf(given).toWellFormed());
        }
        const told = events.flatMap(({ ids }) =>
          ids === '' || ids === TOLD_BEFORE ? [] : ids.split(',').map(Number),
        );
        const made = given.flatMap(({ tokenIds = [] }) => tokenIds);
        // The last ones may still wait for their text.
        expect(made.slice(0, told.length)).toEqual(told);
        expect(events.filter(({ delta }) => delta.tool_calls).length).toBe(
          given.filter(({ toolCalls }) => toolCalls).length,
        );
      }),
    );
  });

  it('are one event while they are plain text', () => {
    const buffer = createDeltaBuffer();
    buffer.add({ text: 'Hel', tokenIds: [1] });
    buffer.add({ text: '', tokenIds: [2] });
    buffer.add({ text: 'lo', tokenIds: [3] });
    expect(eventsOf(buffer.take())).toEqual([
      { delta: { type: 'delta', text: 'Hello', reasoning: undefined }, ids: '1,2,3' },
    ]);
  });

  it('are nothing while there are only tokens, which stand before the text that follows', () => {
    const buffer = createDeltaBuffer();
    buffer.add({ text: '', tokenIds: [1] });
    expect(buffer.isEmpty).toBe(true);
    buffer.add({ text: 'a', tokenIds: [2] });
    expect(eventsOf(buffer.take()).map(({ ids }) => ids)).toEqual(['1,2']);
  });
});
