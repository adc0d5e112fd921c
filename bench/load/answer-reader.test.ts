import fc from 'fast-check';
import { expect, test } from 'vitest';
import { seedOf, tokenText } from '../upstream/answer-text.ts';
import { createChunks } from '../upstream/chunks.ts';
import { createAnswerReader } from './answer-reader.ts';
import type { AnswerShape } from './answer-reader.ts';

const USAGES = ['last', 'each'] as const;

/** The events of an answer, as the engine says them: role, tokens, usage, `[DONE]`. */
function eventsOf(
  id: string,
  {
    tokens,
    usage = 'last',
    withTokenIds = false,
  }: { tokens: number; usage?: (typeof USAGES)[number]; withTokenIds?: boolean },
): string[] {
  const chunks = createChunks({
    id: `chatcmpl-${id}`,
    seed: seedOf(id),
    model: 'bench',
    isChat: true,
    tokens,
    promptTokens: 3,
    withTokenIds,
    usage,
  });
  const said = [
    chunks.begin(),
    ...Array.from({ length: tokens }, (_, at) => chunks.token(at)),
    chunks.end(),
  ];
  // Without the frames of HTTP's chunks.
  return [...said.join('').matchAll(/^data: .*$/gm)].map(([data]) => `${data.trim()}\n\n`);
}

/** The same answer as a job's log tells it. */
function jobEventsOf(id: string, tokens: number): string[] {
  const seed = seedOf(id);
  return [
    frame(1, { type: 'started' }),
    ...Array.from({ length: tokens }, (_, at) =>
      frame(at + 2, { type: 'delta', text: tokenText(seed, at) }),
    ),
    frame(tokens + 2, {
      type: 'completed',
      finish_reason: 'length',
      usage: { completion_tokens: tokens },
    }),
  ];
}

function frame(seq: number, event: { readonly type: string; readonly [field: string]: unknown }) {
  return `id: ${seq}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}

function chunk(content: string, reason: string | null): string {
  return `data: ${JSON.stringify({ choices: [{ delta: { content }, finish_reason: reason }] })}\n\n`;
}

function judge(
  text: string,
  {
    id,
    tokens,
    shape = 'chat',
    cuts = [],
  }: { id: string; tokens: number; shape?: AnswerShape; cuts?: readonly number[] },
): { completed: number; why: string | null } {
  const reader = createAnswerReader({ shape, seed: seedOf(id), tokens });
  const places = [...cuts.map((cut) => cut % (text.length + 1)), text.length].toSorted(
    (a, b) => a - b,
  );
  let completed = 0;
  let from = 0;
  for (const to of places) {
    completed += reader.read(Buffer.from(text.slice(from, to)));
    from = to;
  }
  return { completed, why: reader.end() };
}

const ids = fc.stringMatching(/^[a-z0-9]{1,8}-\d{1,4}$/);
const counts = fc.integer({ min: 2, max: 40 });
const cuts = fc.array(fc.nat(), { maxLength: 20 });

test('an answer of the engine is whole, however it is cut on its way', () => {
  fc.assert(
    fc.property(
      ids,
      counts,
      cuts,
      fc.constantFrom(...USAGES),
      fc.boolean(),
      (id, tokens, at, usage, withTokenIds) => {
        const text = eventsOf(id, { tokens, usage, withTokenIds }).join('');
        expect(judge(text, { id, tokens, cuts: at })).toEqual({ completed: tokens, why: null });
      },
    ),
  );
});

test('so is a job that tells the same, between heartbeats', () => {
  fc.assert(
    fc.property(ids, counts, cuts, (id, tokens, at) => {
      const text = jobEventsOf(id, tokens).join(': hb\n');
      expect(judge(text, { id, tokens, shape: 'job', cuts: at })).toEqual({
        completed: tokens,
        why: null,
      });
    }),
  );
});

test('several tokens, and parts of tokens, may come in one chunk', () => {
  fc.assert(
    fc.property(ids, counts, cuts, (id, tokens, at) => {
      const whole = Array.from({ length: tokens }, (_, index) => tokenText(seedOf(id), index)).join(
        '',
      );
      const places = [0, ...at.map((cut) => cut % whole.length), whole.length].toSorted(
        (a, b) => a - b,
      );
      const pieces = places.slice(1).map((to, index) => whole.slice(places[index], to));
      const text = [
        ...pieces.map((piece) => chunk(piece, null)),
        chunk('', 'length'),
        'data: [DONE]\n\n',
      ].join('');
      expect(judge(text, { id, tokens })).toEqual({ completed: tokens, why: null });
    }),
  );
});

/** What may happen to the events of an answer on their way; `at` is the index of one with a token. */
const HARMS: Readonly<Record<string, (events: string[], at: number, other: string[]) => void>> = {
  'a token is lost': (events, at) => events.splice(at, 1),
  'a token comes twice': (events, at) => events.splice(at, 0, events[at] ?? ''),
  'two tokens are swapped': (events, at) => {
    const next = at === events.length - 3 ? at - 1 : at + 1;
    [events[at], events[next]] = [events[next] ?? '', events[at] ?? ''];
  },
  "a token is another answer's": (events, at, other) => {
    events[at] = other[at] ?? '';
  },
  'a token is torn': (events, at) => {
    events[at] = (events[at] ?? '').replace(/"content":" (..)../, '"content":" $1');
  },
  'the end of an event is lost': (events, at) => {
    events[at] = (events[at] ?? '').slice(0, -20);
  },
  'all that follows is lost': (events, at) => events.splice(at),
  'the end is lost': (events) => events.pop(),
  'the end comes twice': (events) => events.push(events.at(-1) ?? ''),
  'more follows the end': (events, at) => events.push(events[at] ?? ''),
  'the usage is another': (events) => {
    events[events.length - 2] = (events.at(-2) ?? '').replace(
      /"completion_tokens":\d+/,
      '"completion_tokens":999',
    );
  },
  'the finish reason is lost': (events) => {
    events[events.length - 3] = (events.at(-3) ?? '').replace(
      '"finish_reason":"length"',
      '"finish_reason":null',
    );
  },
  'an error stands between': (events, at) =>
    events.splice(at, 0, 'data: {"error":{"message":"no"}}\n\n'),
};

test.each(Object.entries(HARMS))('an answer is not whole when %s', (_what, harm) => {
  fc.assert(
    fc.property(ids, counts, fc.nat(), cuts, (id, tokens, which, places) => {
      const events = eventsOf(id, { tokens });
      harm(events, 1 + (which % tokens), eventsOf(`${id}0`, { tokens }));
      expect(judge(events.join(''), { id, tokens, cuts: places }).why).not.toBeNull();
    }),
  );
});

test('a job that fails says so', () => {
  const events = [
    ...jobEventsOf('a-1', 4).slice(0, 3),
    'event: failed\ndata: {"type":"failed"}\n\n',
  ];
  expect(judge(events.join(''), { id: 'a-1', tokens: 4, shape: 'job' }).why).toBe('job failed');
});
