import { createFolderStore } from '@qarr/file-store';
import { contentOf } from '@qarr/router-core';
import type { NewFile, Segment } from '@qarr/router-core';
import * as fc from 'fast-check';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { describe, expect, it, onTestFinished } from 'vitest';
import { OutcomesDamaged, finalizeBatch, outcomeFileId } from './finalize-batch.ts';
import { createMemoryStore } from './memory-store-for-test.ts';
import type { MemoryStore } from './memory-store-for-test.ts';
import { NO_USAGE } from './outcome-line.ts';
import type { LineOutcome } from './outcome-line.ts';
import { readResults } from './results.ts';
import { encodeSegment, segmentName } from './segments.ts';

const BATCH = 'batch_0a1b';
const { signal } = new AbortController();
const stillOurs = async () => {};

type Given = readonly { isCompleted: boolean; text: string }[][];
const given: fc.Arbitrary<Given> = fc.array(
  fc.array(fc.record({ isCompleted: fc.boolean(), text: fc.json({ maxDepth: 1 }) }), {
    minLength: 1,
    maxLength: 5,
  }),
  { maxLength: 5 },
);

/** Segments in the store, and what they hold in the order in which it is read. */
async function store(all: Given, into: Pick<MemoryStore, 'write'>) {
  const segments: Segment[] = [];
  const texts = { output: [] as string[], error: [] as string[], all: [] as string[] };
  for (const [n, lines] of all.entries()) {
    const outcomes: LineOutcome[] = lines.map((line, at) => ({
      ...line,
      line: at,
      usage: NO_USAGE,
    }));
    const { segment, content } = encodeSegment(segmentName(BATCH, { epoch: 3, n }), outcomes);
    await into.write(
      segment.name,
      (async function* () {
        yield content;
      })(),
      { bytesMax: content.byteLength },
    );
    segments.push(segment);
    const [output, error] = [true, false].map((wanted) =>
      lines.filter(({ isCompleted }) => isCompleted === wanted).map(({ text }) => text),
    );
    texts.output.push(...(output ?? []));
    texts.error.push(...(error ?? []));
    texts.all.push(...(output ?? []), ...(error ?? []));
  }
  return { segments, texts };
}

function batchOf({ output, error }: { output: string[]; error: string[] }) {
  return {
    id: BATCH,
    owner: 'anonymous',
    total: output.length + error.length,
    completed: output.length,
    failed: error.length,
    outputKeptMs: 1_000,
  };
}

function outcome(isCompleted: boolean, text: string) {
  return { isCompleted, text };
}

function recordsOf() {
  const created: NewFile[] = [];
  return {
    created,
    async create(file: NewFile) {
      created.push(file);
      return { kind: 'created' as const, file: { ...file, createdAt: 0, expiresAt: 0 } };
    },
  };
}

describe('the files of a batch', () => {
  it('hold each outcome once, and are the same when they are written again', async () => {
    await fc.assert(
      fc.asyncProperty(given, async (lines) => {
        const memory = createMemoryStore();
        const { segments, texts } = await store(lines, memory);
        const files = recordsOf();
        const write = () =>
          finalizeBatch(batchOf(texts), segments, { store: memory, files, stillOurs, signal });
        const ids = await write();
        const contents = () =>
          (['output', 'error'] as const).map((file) =>
            memory.objects.get(contentOf(outcomeFileId(BATCH, file)))?.toString(),
          );
        const expected = [texts.output, texts.error].map((all) =>
          all.length === 0 ? undefined : all.map((text) => `${text}\n`).join(''),
        );
        expect(contents()).toEqual(expected);
        expect(ids).toEqual({
          lostLines: 0,
          outputFileId: texts.output.length === 0 ? null : outcomeFileId(BATCH, 'output'),
          errorFileId: texts.error.length === 0 ? null : outcomeFileId(BATCH, 'error'),
        });
        expect(await write()).toEqual(ids);
        expect(contents()).toEqual(expected);
        for (const { id, bytes } of files.created) {
          expect(bytes).toBe(memory.objects.get(contentOf(id))?.length);
        }
      }),
    );
  });

  it('are not there where a segment is not what was counted', async () => {
    const whole = given.filter((lines) => lines.length > 0);
    const damages = fc.constantFrom(
      'gone',
      'shorter',
      'a byte less',
      'other lines',
      'no line break',
    );
    await fc.assert(
      fc.asyncProperty(whole, fc.nat(), damages, async (lines, at, damage) => {
        const memory = createMemoryStore();
        const { segments, texts } = await store(lines, memory);
        const segment = segments[at % segments.length];
        const content = memory.objects.get(segment?.name ?? '');
        if (segment === undefined || content === undefined) throw new Error('none');
        const changed = Buffer.from(content);
        if (damage === 'gone') memory.objects.delete(segment.name);
        else if (damage === 'shorter') memory.objects.set(segment.name, changed.subarray(0, -1));
        else if (damage === 'a byte less') memory.objects.set(segment.name, changed.subarray(1));
        // A line of JSON in ASCII quotes has more than one byte, or is one digit.
        else if (damage === 'other lines')
          memory.objects.set(segment.name, changed.fill(0x0a, 0, 1));
        else memory.objects.set(segment.name, changed.fill(0x78, changed.length - 1));
        const files = recordsOf();
        const writing = finalizeBatch(batchOf(texts), segments, {
          store: memory,
          files,
          stillOurs,
          signal,
        });
        await expect(writing).rejects.toThrow(`The segment ${segment.name} is not`);
        // One that does not need the damaged part may be there.
        const damagedFile = files.created.map(
          ({ id }) => memory.objects.get(contentOf(id))?.length,
        );
        expect(damagedFile).toEqual(files.created.map(({ bytes }) => bytes));
        expect(files.created.length).toBeLessThan(2);
      }),
    );
  });

  it('are those that are there where the segments are gone, if they have what was counted', async () => {
    const lines = [[{ isCompleted: true, text: '1' }], [{ isCompleted: true, text: '22' }]];
    const memory = createMemoryStore();
    const { segments, texts } = await store(lines, memory);
    const files = recordsOf();
    const write = () =>
      finalizeBatch(batchOf(texts), segments, { store: memory, files, stillOurs, signal });
    const ids = await write();
    for (const { name } of segments) memory.objects.delete(name);
    expect(await write()).toEqual(ids);
    expect(files.created[1]).toEqual(files.created[0]);
    const name = contentOf(outcomeFileId(BATCH, 'output'));
    for (const damaged of ['1\n2\n', '1\n222', '1\n22\n3\n']) {
      memory.objects.set(name, Buffer.from(damaged));
      await expect(write()).rejects.toBeInstanceOf(OutcomesDamaged);
    }
  });

  it('hold what is left where the rest is lost, and say how many lines that was', async () => {
    const memory = createMemoryStore();
    const { segments, texts } = await store(
      [
        [outcome(true, '1'), outcome(false, '"a"')],
        [outcome(true, '2'), outcome(true, '3'), outcome(false, '"b"')],
        [outcome(true, '4')],
      ],
      memory,
    );
    const [, second, third] = segments;
    if (second === undefined || third === undefined) throw new Error('none');
    // Without its end, where the lines of the error file are.
    memory.objects.set(second.name, memory.objects.get(second.name)?.subarray(0, 5) ?? Buffer.of());
    memory.objects.delete(third.name);
    const files = recordsOf();
    const options = { store: memory, files, stillOurs, signal, isLost: true };
    const made = await finalizeBatch(batchOf(texts), segments, options);
    expect(made).toMatchObject({ lostLines: 2 });
    const contents = [made.outputFileId, made.errorFileId].map((id) =>
      memory.objects.get(contentOf(id ?? ''))?.toString(),
    );
    expect(contents).toEqual(['1\n2\n3\n', '"a"\n']);
    // No outcome is taken for another one.
    for (const { name } of segments) memory.objects.delete(name);
    const reading = readResults(
      { batchId: BATCH, segments },
      { after: 0, limit: 9, bytesMax: 99, signal },
      { store: memory },
    );
    await expect(reading).rejects.toMatchObject({ code: 'file_not_found' });

    memory.objects.clear();
    const nothing = await finalizeBatch(batchOf(texts), segments, options);
    expect(nothing).toEqual({ outputFileId: null, errorFileId: null, lostLines: 6 });
  });

  it('are not brought back by a runner that has lost the batch meanwhile', async () => {
    const memory = createMemoryStore();
    const { segments, texts } = await store([[{ isCompleted: true, text: '1' }]], memory);
    for (const lostAt of [1, 2]) {
      const files = recordsOf();
      let looks = 0;
      const lost = new Error('lost');
      const writing = finalizeBatch(batchOf(texts), segments, {
        store: memory,
        files,
        async stillOurs() {
          looks += 1;
          if (looks === lostAt) throw lost;
        },
        signal,
      });
      await expect(writing).rejects.toBe(lost);
      expect(files.created).toEqual([]);
      expect(memory.objects.size).toBe(lostAt);
    }
  });

  it('are not begun where the counters do not add up', async () => {
    const memory = createMemoryStore();
    const { segments, texts } = await store([[{ isCompleted: true, text: '1' }]], memory);
    const batch = batchOf(texts);
    for (const wrong of [{ total: 2 }, { completed: 0, failed: 1 }, { completed: 2 }]) {
      const files = recordsOf();
      const writing = finalizeBatch({ ...batch, ...wrong }, segments, {
        store: memory,
        files,
        stillOurs,
        signal,
      });
      await expect(writing).rejects.toThrow('are not what was counted');
      expect(files.created).toEqual([]);
    }
  });

  it('lie in a folder as a whole', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'qarr-batch-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    const files = recordsOf();
    const folders = createFolderStore({ folder });
    const lines = Array.from({ length: 3 }, () =>
      Array.from({ length: 500 }, (_, at) => ({
        isCompleted: at % 7 > 0,
        text: `"${'é'.repeat(200)}"`,
      })),
    );
    const { segments, texts } = await store(lines, folders);
    const { outputFileId } = await finalizeBatch(batchOf(texts), segments, {
      store: folders,
      files,
      stillOurs,
      signal,
    });
    const stored = await folders.read(contentOf(outputFileId ?? ''));
    if (stored === null) throw new Error('none');
    expect((await buffer(stored.content)).toString()).toBe(`${texts.output.join('\n')}\n`);
    await folders.remove(segments[1]?.name ?? '');
    const page = await readResults(
      { batchId: BATCH, segments },
      { after: 480, limit: 600, bytesMax: 1e9, signal },
      { store: folders },
    );
    expect(page.lines).toEqual(texts.all.slice(480, 1_080));
  });
});

describe('results', () => {
  it('are each read once in pages of any size, from segments or from the files', async () => {
    const limits = fc.integer({ min: 1, max: 6 });
    await fc.assert(
      fc.asyncProperty(
        given,
        limits,
        fc.nat(40),
        fc.nat(8),
        async (lines, limit, bytesMax, endAt) => {
          const memory = createMemoryStore();
          const { segments, texts } = await store(lines, memory);
          const read: string[] = [];
          for (let pages = 0; pages < 100; pages += 1) {
            if (pages === endAt) {
              const files = recordsOf();
              await finalizeBatch(batchOf(texts), segments, {
                store: memory,
                files,
                stillOurs,
                signal,
              });
              for (const { name } of segments) memory.objects.delete(name);
            }
            const page = await readResults(
              { batchId: BATCH, segments },
              { after: read.length, limit, bytesMax, signal },
              { store: memory },
            );
            read.push(...page.lines);
            expect(page.next).toBe(read.length);
            expect(page.hasMore).toBe(read.length < texts.all.length);
            expect(page.lines.length).toBeLessThanOrEqual(limit);
            const bytes = Buffer.byteLength(page.lines.join(''));
            expect(page.lines.length < 2 || bytes <= bytesMax).toBe(true);
            if (!page.hasMore) break;
          }
          expect(read).toEqual(texts.all);
        },
      ),
    );
  });

  it('are gone with the files', async () => {
    const memory = createMemoryStore();
    const { segments } = await store([[{ isCompleted: true, text: '1' }]], memory);
    memory.objects.clear();
    const options = { after: 0, limit: 1, bytesMax: 9, signal };
    const reading = readResults({ batchId: BATCH, segments }, options, { store: memory });
    await expect(reading).rejects.toMatchObject({ code: 'file_not_found' });
    // Who has read all is told so.
    const page = await readResults(
      { batchId: BATCH, segments },
      { ...options, after: 1 },
      { store: memory },
    );
    expect(page).toEqual({ lines: [], next: 1, hasMore: false });
  });
});
