import * as fc from 'fast-check';
import { DEFAULT_POLICY } from '@qarr/router-core';
import { describe, expect, it } from 'vitest';
import { NO_TIER } from './line-index.ts';
import { createLineReader } from './line-reader.ts';
import { createMemoryStore, piecesOf } from './memory-store-for-test.ts';
import { validateBatch } from './validate-batch.ts';
import type { Validation } from './validate-batch.ts';

const endpoint = '/v1/chat/completions';
const limits = { linesMax: 100, lineBytesMax: 2_000, errorsMax: 3 };
const [FAST = ''] = DEFAULT_POLICY.tiers.map(({ name }) => name);
const { signal } = new AbortController();

const lineOf = (customId: string, body: object) =>
  JSON.stringify({ custom_id: customId, method: 'POST', url: endpoint, body });
const chat = (fields: object = {}) => ({
  model: 'auto',
  messages: [{ role: 'user', content: 'Grüße' }],
  ...fields,
});

async function validate(text: string, pieceBytes = 64): Promise<Validation> {
  return validateBatch(
    async function* () {
      yield* piecesOf(Buffer.from(text), pieceBytes);
    }.call(null),
    { endpoint, policy: DEFAULT_POLICY, servedModels: ['served'], limits, signal },
  );
}

async function valid(text: string) {
  const validation = await validate(text);
  if (validation.kind !== 'valid') throw new Error(JSON.stringify(validation.errors));
  return validation;
}

describe('a file', () => {
  it('has the same lines for whoever reads them by its index', async () => {
    const texts = fc.array(fc.string({ unit: 'grapheme', maxLength: 80 }), {
      minLength: 1,
      maxLength: 12,
    });
    const breaks = fc.constantFrom('\n', '\r\n', '\n\n', '\n \r\n');
    const sizes = fc.integer({ min: 1, max: 300 });
    await fc.assert(
      fc.asyncProperty(
        texts,
        breaks,
        sizes,
        sizes,
        fc.boolean(),
        async (contents, end, piece, block, hasMark) => {
          const lines = contents.map((content, at) => lineOf(`${at}`, chat({ user: content })));
          const file = (hasMark ? '\uFEFF' : '') + lines.join(end) + (piece % 2 === 0 ? end : '');
          const validation = await validate(file, piece);
          if (validation.kind !== 'valid') throw new Error('invalid');
          expect(validation.total).toBe(lines.length);
          const store = createMemoryStore({ pieceBytes: piece });
          store.objects.set('file', Buffer.from(file));
          const reader = createLineReader({
            store,
            name: 'file',
            index: validation.index,
            blockBytes: block,
            blocksMax: 2,
          });
          // In any order, and some at once.
          const order = lines.map((_, at) => (at * 5) % lines.length);
          const read = await Promise.all(order.map((line) => reader.read(line)));
          expect(read).toEqual(order.map((line) => lines[line]));
        },
      ),
      { numRuns: 100 },
    );
  });

  it('plans each line for a tier, and what is wrong in a body for none', async () => {
    const { total, index } = await valid(
      [
        chat({ tier: 'precise' }),
        chat({ model: 'no-such-model' }),
        chat({ temperature: 9 }),
        chat({ stream: true }),
        chat({ tier: FAST, max_tokens: 900_000 }),
        {},
      ]
        .map((body, at) => lineOf(`${at}`, body))
        .join('\n'),
    );
    expect(Array.from({ length: total }, (_, line) => index.planOf(line))).toEqual([
      'precise',
      NO_TIER,
      NO_TIER,
      NO_TIER,
      // Only its tier can say whether it is too long.
      FAST,
      NO_TIER,
    ]);
  });

  it.each([
    [['auto', 'auto'], 'auto'],
    [['auto', 'fast', 'auto'], null],
    [['auto', undefined], null],
    [[undefined], null],
  ])('has the model that all of %j name', async (models, model) => {
    const text = models.map((each, at) => lineOf(`${at}`, chat({ model: each }))).join('\n');
    expect((await valid(text)).model).toBe(model);
  });

  it('is refused with the numbers of its lines, and not read on for more than is told', async () => {
    const good = lineOf('a', chat());
    const file = [good, '', 'banana', good, `"${'x'.repeat(2_000)}"`, '{', '{'].join('\n');
    const validation = await validate(file);
    expect(validation).toMatchObject({
      kind: 'invalid',
      errors: [
        { line: 3, code: 'invalid_json_line' },
        { line: 4, code: 'duplicate_custom_id' },
        { line: 5, code: 'line_too_long' },
      ],
    });
    expect(await validate('\n')).toMatchObject({ errors: [{ line: null, code: 'empty_file' }] });
  });

  it('is read no further once nobody wants it', async () => {
    const ending = new AbortController();
    async function* endless() {
      for (let n = 0; ; n += 1) {
        if (n === 3) ending.abort(new Error('stopped'));
        yield Buffer.from(`${lineOf(`${n}`, chat())}\n`);
      }
    }
    const options = { endpoint, policy: DEFAULT_POLICY, servedModels: [], limits } as const;
    await expect(validateBatch(endless(), { ...options, signal: ending.signal })).rejects.toThrow(
      'stopped',
    );
  });

  it('is read no further than it may have lines, blank ones, too', async () => {
    let pieces = 0;
    async function* blank() {
      for (; pieces < 1_000; pieces += 1) yield Buffer.alloc(64, '\n');
    }
    const options = { endpoint, policy: DEFAULT_POLICY, servedModels: [], limits, signal } as const;
    const found = await validateBatch(blank(), options);
    expect(found).toMatchObject({ errors: [{ code: 'too_many_lines', line: 201 }] });
    expect(pieces).toBe(3);
  });
});
