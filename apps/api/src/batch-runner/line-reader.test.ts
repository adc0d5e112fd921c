import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { createLineIndexBuilder } from './line-index.ts';
import { createLineReader } from './line-reader.ts';
import { createMemoryStore } from './memory-store-for-test.ts';

const LINES = 1_000;
const LINE_BYTES = 10;
const lineOf = (line: number) => String(line).padStart(LINE_BYTES - 1, '0');

function world({ blocksMax = 8 } = {}) {
  const store = createMemoryStore({ pieceBytes: 50 });
  const index = createLineIndexBuilder();
  let text = '';
  for (let line = 0; line < LINES; line += 1) {
    index.add({ start: text.length, bytes: LINE_BYTES - 1, tier: '' });
    text += `${lineOf(line)}\n`;
  }
  store.objects.set('file', Buffer.from(text));
  const options = { store, name: 'file', index: index.build(), blockBytes: 100, blocksMax };
  return { store, reader: createLineReader(options) };
}

describe('lines of a file', () => {
  it('are read in blocks, each once, by three who are at different places', async () => {
    const { store, reader } = world();
    for (let step = 0; step < 300; step += 1) {
      for (const line of [step, 300 + step, 600 + step]) {
        expect(await reader.read(line)).toBe(lineOf(line));
      }
    }
    // Where each of them ends, one block more is ahead.
    expect(store.reads.length).toBe(3 * 30 + 3);
  });

  it('are there after a failure of the store, which is told to who needs them', async () => {
    const { store, reader } = world();
    store.failing = 2;
    const [first, second] = [reader.read(0), reader.read(1)];
    await expect(first).rejects.toThrow('The store fails');
    await expect(second).rejects.toThrow('The store fails');
    store.failing = 0;
    expect(await reader.read(0)).toBe(lineOf(0));
    await setImmediate();
    // What is read ahead now fails, and nobody needs it.
    store.failing = 1;
    expect(await reader.read(10)).toBe(lineOf(10));
    await setImmediate();
    expect(await reader.read(20)).toBe(lineOf(20));
  });

  it('are gone with their file, or with a part of it', async () => {
    const { store, reader } = world({ blocksMax: 1 });
    store.objects.set('file', Buffer.from('short'));
    await expect(reader.read(3)).rejects.toMatchObject({ code: 'file_not_found' });
    store.objects.clear();
    await expect(reader.read(500)).rejects.toMatchObject({ code: 'file_not_found' });
  });
});
