import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  NO_TIER,
  createLineIndexBuilder,
  decodeLineIndex,
  lineIndexName,
  readLineIndex,
  writeLineIndex,
} from './line-index.ts';
import type { LineIndex } from './line-index.ts';
import { createMemoryStore } from './memory-store-for-test.ts';

const BATCH = 'batch_0a1b';
const entry = fc.record({
  start: fc.nat({ max: 2 ** 40 }),
  bytes: fc.nat({ max: 2 ** 31 }),
  tier: fc.constantFrom('fast', 'balanced', 'précis', NO_TIER),
});

function indexOf(entries: readonly { start: number; bytes: number; tier: string }[]): LineIndex {
  const builder = createLineIndexBuilder();
  for (const each of entries) builder.add(each);
  return builder.build();
}

function entriesOf(index: LineIndex | null) {
  return Array.from({ length: index?.total ?? -1 }, (_, line) => ({
    ...index?.placeOf(line),
    tier: index?.planOf(line),
  }));
}

describe('an index', () => {
  it('says what was added, also when it is read back', () => {
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 30 }), (entries) => {
        const index = indexOf(entries);
        expect(entriesOf(index)).toEqual(entries);
        expect(entriesOf(decodeLineIndex(index.encoded()))).toEqual(entries);
      }),
    );
  });

  it('is no index once a bit of it is another, or a part is missing', () => {
    const lines = fc.array(entry, { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(lines, fc.nat(), fc.nat(7), fc.boolean(), (entries, at, bit, isCut) => {
        const encoded = Buffer.from(indexOf(entries).encoded());
        const byte = at % encoded.length;
        encoded.writeUInt8(encoded.readUInt8(byte) ^ (1 << bit), byte);
        expect(decodeLineIndex(isCut ? encoded.subarray(0, byte) : encoded)).toBeNull();
      }),
    );
  });

  it('of 50,000 lines is small', () => {
    const lines = Array.from({ length: 50_000 }, (_, line) => ({
      start: line,
      bytes: 1,
      tier: 'a',
    }));
    const index = indexOf(lines);
    expect(index.encoded().byteLength).toBeLessThan(600_000);
    expect(index.placeOf(49_999)).toEqual({ start: 49_999, bytes: 1 });
  });

  it('is there or not', async () => {
    const store = createMemoryStore();
    expect(await readLineIndex(store, BATCH)).toBeNull();
    await writeLineIndex(store, {
      batchId: BATCH,
      index: indexOf([{ start: 3, bytes: 4, tier: 'a' }]),
    });
    expect(entriesOf(await readLineIndex(store, BATCH))).toEqual([
      { start: 3, bytes: 4, tier: 'a' },
    ]);
    store.objects.set(lineIndexName(BATCH), Buffer.from('{}\n'));
    expect(await readLineIndex(store, BATCH)).toBeNull();
  });
});
