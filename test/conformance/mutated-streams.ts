/**
 * Reads streams that were damaged at random, and compares with a second reader what the worker's
 * makes of them.
 *
 * Whatever comes, the worker's reader neither throws nor hangs. What it declares whole, the slow
 * reader finds whole in the very same bytes, with the same text: damage that bytes can show is
 * never taken for an answer. Damage that they cannot show (a letter that is another letter) is
 * counted, and nothing more.
 */
import * as fc from 'fast-check';
import type { AnswerDelta } from '@qarr/job-store';
// An app has no other entry than its process.
import { createAnswerReader } from '../../apps/worker/src/answer-reader.ts';
import type { AnswerEnding } from '../../apps/worker/src/answer-reader.ts';
import type { Recording } from './recordings.ts';
import { readSlowly } from './slow-reader.ts';

/** Some ten seconds. The seed makes it the same everywhere. */
export const MUTATIONS = { streams: 100_000, seed: 1 } as const;

export interface MutationCounts {
  readonly streams: number;
  /** Declared whole, with the text of the undisturbed stream. */
  readonly whole: number;
  /** Declared whole, with another text, which the bytes say. */
  readonly silent: number;
  readonly failed: number;
}

/** More than any recorded answer has. */
const TOKENS_MAX = 4_096;
/** Fragments that mean something to a reader. */
const FRAGMENTS = [
  '\n',
  '\r',
  '\n\n',
  '\r\n\r\n',
  'data: ',
  'data: [DONE]\n\n',
  ': \n',
  'event: error\n',
  'id\n',
  '{}',
  '"',
  '\\',
  'null',
  '"finish_reason":"stop",',
  '"error":{},',
  '\uFEFF',
  '\uD83D\uDE42',
].map((text) => new TextEncoder().encode(text));

/** A place is a number modulo the length of the stream. Without a bias towards its beginning. */
const place = fc.noBias(fc.nat());
const length = fc.integer({ min: 1, max: 400 });
const mutation = fc.oneof(
  fc.record({ kind: fc.constant('drop' as const), at: place, length }),
  fc.record({ kind: fc.constant('repeat' as const), at: place, length, to: place }),
  fc.record({ kind: fc.constant('flip' as const), at: place, bit: fc.integer({ min: 0, max: 7 }) }),
  fc.record({
    kind: fc.constant('byte' as const),
    at: place,
    byte: fc.integer({ min: 0, max: 255 }),
  }),
  fc.record({
    kind: fc.constant('fragment' as const),
    at: place,
    which: fc.nat(FRAGMENTS.length - 1),
  }),
  fc.record({ kind: fc.constant('truncate' as const), at: place }),
  fc.record({ kind: fc.constant('splice' as const), at: place, from: place, length, other: place }),
);

type Mutation = typeof mutation extends fc.Arbitrary<infer Value> ? Value : never;

const damage = fc.record({
  which: place,
  mutations: fc.array(mutation, { maxLength: 4 }),
  /** Sizes of the pieces in which the bytes arrive, again and again. */
  pieces: fc.array(fc.integer({ min: 1, max: 600 }), { minLength: 1, maxLength: 4 }),
  endsCleanly: fc.boolean(),
});

/** Throws, with the damage and the seed, where a stream is read wrongly. */
export function readMutatedStreams(
  recordings: readonly Recording[],
  { streams, seed }: { streams: number; seed: number },
): MutationCounts {
  const counts = { streams: 0, whole: 0, silent: 0, failed: 0 };
  const undisturbed = new Map(
    recordings.map((recording) => [
      recording,
      readSlowly(recording.bytes, { ...recording, endsCleanly: true }).texts.join('\n'),
    ]),
  );
  fc.assert(
    fc.property(damage, ({ which, mutations, pieces, endsCleanly }) => {
      const recording = pick(recordings, which);
      const bytes = mutations.reduce(
        (before, each) => mutate(before, each, recordings),
        recording.bytes,
      );
      const read = readAsWorker(bytes, { ...recording, pieces, endsCleanly });
      const slow = readSlowly(bytes, { ...recording, endsCleanly });
      counts.streams += 1;
      if (read.ending?.kind !== 'whole') {
        const isUndamaged = mutations.length === 0 && slow.isWhole;
        if (isUndamaged) throw new Error(`${recording.name}: whole, and declared broken`);
        counts.failed += 1;
        return;
      }
      if (!slow.isWhole) throw new Error(`${recording.name}: broken, and declared whole`);
      const text = read.texts.join('\n');
      if (text !== slow.texts.join('\n')) throw new Error(`${recording.name}: another text`);
      if (text === undisturbed.get(recording)) counts.whole += 1;
      else counts.silent += 1;
    }),
    { numRuns: streams, seed },
  );
  return counts;
}

function readAsWorker(
  bytes: Uint8Array,
  {
    choices,
    counting,
    pieces,
    endsCleanly,
  }: Recording & { pieces: readonly number[]; endsCleanly: boolean },
) {
  const texts: string[] = Array.from({ length: choices }, () => '');
  const reader = createAnswerReader({
    choices,
    tokensMax: TOKENS_MAX,
    counting,
    onDelta: (delta) => (texts[delta.index ?? 0] += textOf(delta)),
    onChunk: () => {},
    isStopped: () => false,
  });
  let ending: AnswerEnding | null = null;
  for (let at = 0, turn = 0; at < bytes.length && ending === null; turn += 1) {
    const size = pieces[turn % pieces.length] ?? 1;
    ending = reader.read(bytes.subarray(at, at + size));
    at += size;
  }
  if (endsCleanly) ending ??= reader.end();
  return { ending, texts };
}

function textOf({ text, toolCalls = [] }: AnswerDelta): string {
  const calls = toolCalls.map(
    (call) => `${call.function?.name ?? ''}${call.function?.arguments ?? ''}`,
  );
  return text + calls.join('');
}

function mutate(bytes: Uint8Array, how: Mutation, recordings: readonly Recording[]): Uint8Array {
  const at = how.at % (bytes.length + 1);
  switch (how.kind) {
    case 'drop':
      return replaced(bytes, { at, until: at + how.length, by: NOTHING });
    case 'repeat': {
      const to = how.to % (bytes.length + 1);
      return replaced(bytes, { at: to, until: to, by: bytes.subarray(at, at + how.length) });
    }
    case 'flip':
      return withByte(bytes, { at, byte: (bytes[at] ?? 0) ^ (1 << how.bit) });
    case 'byte':
      return withByte(bytes, { at, byte: how.byte });
    case 'fragment':
      return replaced(bytes, { at, until: at, by: FRAGMENTS[how.which] ?? NOTHING });
    case 'truncate':
      return bytes.subarray(0, at);
    case 'splice': {
      const other = pick(recordings, how.other).bytes;
      const from = how.from % other.length;
      return replaced(bytes, { at, until: at, by: other.subarray(from, from + how.length) });
    }
    default:
      return how satisfies never;
  }
}

const NOTHING = new Uint8Array();

function replaced(
  bytes: Uint8Array,
  { at, until, by }: { at: number; until: number; by: Uint8Array },
): Uint8Array {
  return Buffer.concat([bytes.subarray(0, at), by, bytes.subarray(until)]);
}

function withByte(bytes: Uint8Array, { at, byte }: { at: number; byte: number }): Uint8Array {
  return replaced(bytes, { at, until: at + 1, by: Uint8Array.of(byte) });
}

function pick<Item>(items: readonly Item[], number: number): Item {
  const item = items[number % items.length];
  if (item === undefined) throw new Error('There is nothing to choose from.');
  return item;
}
