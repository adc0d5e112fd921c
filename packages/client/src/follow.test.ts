import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { QarrClientError } from './errors.ts';
import type { StreamEvent } from './events.ts';
import type { Message } from './event-stream.ts';
import { follow } from './follow.ts';
import type { FollowDeps } from './follow.ts';
import { badAnswer, networkError } from './http.ts';

/** What one connection does: brings some events, from earlier ones on, and then breaks or ends. */
interface Cut {
  readonly events: number;
  readonly overlap: number;
  readonly breaks: boolean;
}

function logged(seq: number, last: number): Message {
  const type = seq === last ? 'completed' : 'delta';
  return { kind: 'event', seq, event: { type, text: `${seq} ` } };
}

function following(
  connect: FollowDeps['connect'],
  { after = 0, reconnectsMax = 3, standsMs = 0, slept = [] as number[], random = 0.5 } = {},
) {
  let nowMs = 0;
  return follow({
    jobId: 'job_1',
    after,
    reconnectsMax,
    retryAfterMsMax: 60_000,
    connect,
    sleep: async (ms) => void slept.push(ms),
    now: () => (nowMs += standsMs),
    random: () => random,
  });
}

async function all(events: AsyncIterable<StreamEvent>): Promise<StreamEvent[]> {
  const seen: StreamEvent[] = [];
  for await (const event of events) seen.push(event);
  return seen;
}

async function* brings(...messages: (Message | Error)[]): AsyncGenerator<Message> {
  for (const message of messages) {
    if (message instanceof Error) throw message;
    yield message;
  }
}

async function codeOf(events: AsyncIterable<StreamEvent>): Promise<string> {
  return all(events).then(
    () => 'none',
    (error: unknown) => (error instanceof QarrClientError ? error.code : String(error)),
  );
}

describe('following a job', () => {
  test('gives every event once and in order, wherever connections break', async () => {
    const cut = fc.record({
      events: fc.nat(6),
      overlap: fc.nat(3),
      breaks: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 40 }),
        fc.nat(39),
        fc.array(cut, { maxLength: 30 }),
        async (length, known, cuts: Cut[]) => {
          const after = Math.min(known, length - 1);
          let connections = 0;
          async function* connect(last: number): AsyncGenerator<Message> {
            const { events, overlap, breaks } = cuts[connections] ?? {
              events: length,
              overlap: 0,
              breaks: false,
            };
            connections += 1;
            const from = Math.max(1, last + 1 - overlap);
            for (let seq = from; seq <= Math.min(length, last + events); seq += 1) {
              yield logged(seq, length);
            }
            if (breaks) throw networkError(new Error('cut'));
          }
          const seen = await all(following(connect, { after, reconnectsMax: 30 }));
          const numbers = seen.map((event) => ('seq' in event ? event.seq : 0));
          const expected = Array.from({ length: length - after }, (_, index) => after + 1 + index);
          expect(numbers).toEqual(expected);
        },
      ),
    );
  });

  test('passes on where the job stands, and passes over what it does not know', async () => {
    const position = { type: 'position', position: 3, estimated_wait_ms: null } as const;
    const events = following(() =>
      brings(
        { kind: 'event', seq: null, event: position },
        { kind: 'event', seq: null, event: { type: 'weather' } },
        { kind: 'event', seq: 1, event: { type: 'paused' } },
        logged(2, 2),
      ),
    );
    expect(await all(events)).toEqual([position, { type: 'completed', text: '2 ', seq: 2 }]);
  });

  test('ends where nothing follows', async () => {
    expect(await all(following(() => brings({ kind: 'nothing_follows' }), { after: 9 }))).toEqual(
      [],
    );
  });

  test('does not hide that an event is missing', async () => {
    expect(await codeOf(following(() => brings(logged(1, 9), logged(3, 9))))).toBe('stream_gap');
    expect(await codeOf(following(() => brings(logged(1, 9), logged(9, 9))))).toBe('stream_gap');
    expect(await codeOf(following(() => brings(logged(9, 9))))).toBe('events_gone');
  });

  test('gives up after so many connections in a row without an event', async () => {
    const slept: number[] = [];
    let connections = 0;
    const events = following(
      () => {
        connections += 1;
        return brings(...(connections === 3 ? [logged(1, 9)] : [networkError(null)]));
      },
      { slept },
    );
    expect(await codeOf(events)).toBe('reconnects_exhausted');
    // Two before the one that brought something, that one, and three more.
    expect(connections).toBe(6);
    expect(slept).toEqual([250, 500, 250, 500, 1_000]);
  });

  test('does not count connections that stood for long', async () => {
    let connections = 0;
    const events = following(
      () => {
        connections += 1;
        return brings(connections > 20 ? logged(1, 1) : networkError(null));
      },
      { standsMs: 10_000 },
    );
    expect(await all(events)).toHaveLength(1);
  });

  test('comes back when it is told to', async () => {
    const slept: number[] = [];
    const busy = new QarrClientError({
      code: 'shutting_down',
      message: '',
      retryable: true,
      retryAfterMs: 1_234,
    });
    const connections = [
      brings(logged(1, 2), { kind: 'retry', ms: 3_000 }),
      brings(busy),
      brings(logged(2, 2)),
    ];
    await all(following(() => connections.shift() ?? brings(), { slept }));
    expect(slept).toEqual([1_500, 1_234]);
  });

  test('does not come back from what will not pass', async () => {
    let connections = 0;
    const events = following(() => {
      connections += 1;
      return brings(badAnswer('x'));
    });
    expect(await codeOf(events)).toBe('bad_answer');
    expect(connections).toBe(1);
  });
});
