/** Text and CSV as the lines of a batch. */
import { Readable } from 'node:stream';
import { expect, test } from 'vitest';
import { CliError } from '../cli-error.ts';
import { linesOfRows } from './row-lines.ts';
import type { RowOptions } from './row-lines.ts';
import { ROW_BYTES_MAX, readCsvRows, readTextRows } from './rows.ts';
import { parseTemplate } from './template.ts';

const OPTIONS: RowOptions = {
  endpoint: '/v1/chat/completions',
  template: undefined,
  system: undefined,
  model: 'auto',
  maxTokens: undefined,
  temperature: undefined,
  idColumn: undefined,
  rowsMax: 50_000,
};

async function collect(lines: AsyncIterable<string>) {
  const found: { custom_id: string; url: string; body: Record<string, unknown> }[] = [];
  for await (const line of lines) {
    expect(line).toMatch(/^[^\n]+\n$/);
    found.push(JSON.parse(line));
  }
  return found;
}

const ofText = (text: string | Buffer, options: Partial<RowOptions> = {}) =>
  collect(
    linesOfRows(readTextRows(Readable.from([Buffer.from(text)])), { ...OPTIONS, ...options }),
  );

/** In pieces of a few bytes, as they may come. */
async function ofCsv(text: string, options: Partial<RowOptions> = {}) {
  const bytes = Buffer.from(text);
  const size = bytes.length > 1_000 ? 65_536 : 3;
  const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
    bytes.subarray(index * size, index * size + size),
  );
  return collect(linesOfRows(await readCsvRows(Readable.from(pieces)), { ...OPTIONS, ...options }));
}

async function problemOf(work: Promise<unknown>): Promise<string> {
  const error: unknown = await work.then(
    () => null,
    (problem: unknown) => problem,
  );
  if (error instanceof CliError) return error.message;
  throw new Error(`not a CLI error: ${String(error)}`);
}

const promptsOf = (lines: { body: Record<string, unknown> }[]) =>
  lines.map(({ body }) => (body['messages'] as { content: string }[]).at(-1)?.content);

test('a template has places for columns, and leaves all other braces alone', () => {
  const { columns, fill } = parseTemplate('{a}: {"x": {b c}, "y": {}} {{a}} {a}{ü_1}');
  expect(columns).toEqual(['a', 'b c', 'ü_1']);
  expect(fill({ a: '$& {b c}', 'b c': '2', ü_1: '3' })).toBe(
    '$& {b c}: {"x": 2, "y": {}} {a} $& {b c}3',
  );
});

test('each line of a text is a prompt, with the number of its line as its id', async () => {
  const lines = await ofText('one\r\n\n \ntwo\u2028still two\nthree', { template: 'Say {text}.' });
  expect(lines.map(({ custom_id: id }) => id)).toEqual(['row-1', 'row-4', 'row-5']);
  expect(promptsOf(lines)).toEqual(['Say one.', 'Say two\u2028still two.', 'Say three.']);
});

test('a record of a CSV is a prompt, with line breaks, quotes and commas in it', async () => {
  const csv = '\uFEFFid, text ,lang\nx1,"a ""b"",\nc",de\n\nx2,ä,en\n';
  const lines = await ofCsv(csv, { template: '{lang}: {text}', idColumn: 'id' });
  expect(lines.map(({ custom_id: id }) => id)).toEqual(['x1', 'x2']);
  expect(promptsOf(lines)).toEqual(['de: a "b",\nc', 'en: ä']);
  expect(promptsOf(await ofCsv('id,prompt\n1,hello\n'))).toEqual(['hello']);
  expect(promptsOf(await ofCsv('question\nwhy?\n'))).toEqual(['why?']);
});

test('a row is asked as its endpoint wants it', async () => {
  const more = { system: 'Be brief.', maxTokens: 5, temperature: 0.5, model: 'fast' };
  const [chat] = await ofText('Hi', more);
  expect(chat).toEqual({
    custom_id: 'row-1',
    method: 'POST',
    url: '/v1/chat/completions',
    body: {
      model: 'fast',
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'Hi' },
      ],
      max_tokens: 5,
      temperature: 0.5,
    },
  });
  const [response] = await ofText('Hi', { ...more, endpoint: '/v1/responses' });
  expect(response?.body).toEqual({
    model: 'fast',
    input: 'Hi',
    instructions: 'Be brief.',
    max_output_tokens: 5,
    temperature: 0.5,
  });
  const [raw] = await ofText('Hi', { endpoint: '/v1/completions' });
  expect(raw).toMatchObject({ url: '/v1/completions', body: { model: 'auto', prompt: 'Hi' } });
});

test.each<[string, () => Promise<unknown>, RegExp]>([
  [
    'a place that is no column',
    () => ofCsv('a,b\n1,2\n', { template: '{c}' }),
    /\{c\}.* it has a, b /,
  ],
  ['no hint which column it is', () => ofCsv('a,b\n1,2\n'), /^say what the prompt is: --template/],
  ['an id column that is none', () => ofCsv('a\n1\n', { idColumn: 'id' }), /one of the columns a$/],
  [
    'an id twice',
    () => ofCsv('a,i\n1,x\n2,y\n3,x\n', { template: '{a}', idColumn: 'i' }),
    /^row 3: .*row 1/,
  ],
  [
    'an empty id',
    () => ofCsv('a,i\n1,x\n2,\n', { template: '{a}', idColumn: 'i' }),
    /^row 2: .* empty$/,
  ],
  ['a field too many', () => ofCsv('a\n1\n2,3\n'), /^row 2: it has more or fewer fields/],
  ['a quote without end', () => ofCsv('a\n1\n"2\n'), /^row 2: /],
  [
    'a record without end',
    () => ofCsv(`a\n1\n"${'x'.repeat(ROW_BYTES_MAX + 9)}`),
    /^row 2: it has more than/,
  ],
  [
    'an empty prompt',
    () => ofCsv('a,b\n1,2\n,3\n', { template: '{a}' }),
    /^row 2: its prompt is empty$/,
  ],
  ['two columns of one name', () => ofCsv('a,a\n1,2\n'), /two columns named "a"/],
  ['an empty CSV', () => ofCsv(''), /the CSV is empty/],
  ['a header alone', () => ofCsv('a\n'), /no rows/],
  ['text that is not UTF-8', () => ofText(Buffer.from([0x61, 0x0a, 0xff])), /^row 2: .*UTF-8/],
  [
    'a line without end',
    () => ofText(`a\n${'x'.repeat(ROW_BYTES_MAX + 1)}`),
    /^row 2: it has more than/,
  ],
  ['too many rows', () => ofText('a\nb\nc', { rowsMax: 2 }), /^row 3: a batch has at most 2 lines/],
  [
    'a system prompt that has no place',
    () => ofText('a', { endpoint: '/v1/completions', system: 'x' }),
    /has no place for --system$/,
  ],
])('refuses %s', async (_name, work, message) => {
  expect(await problemOf(work())).toMatch(message);
});
