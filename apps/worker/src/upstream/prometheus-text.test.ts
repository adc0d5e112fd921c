import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readSeries } from './prometheus-text.ts';

const NAME = 'vllm:x';

function read(page: string): { labels: Record<string, string>; value: number }[] {
  const series = readSeries(page, new Set([NAME])).get(NAME) ?? [];
  return series.map(({ labels, value }) => ({ labels: Object.fromEntries(labels), value }));
}

describe('a page of metrics', () => {
  it.each([
    ['a plain value', 'vllm:x 12.0\n', [{ labels: {}, value: 12 }]],
    ['no last line feed', 'vllm:x 1', [{ labels: {}, value: 1 }]],
    [
      'carriage returns',
      'vllm:x 1\r\nvllm:x 2\r\n',
      [1, 2].map((value) => ({ labels: {}, value })),
    ],
    ['a timestamp', 'vllm:x{a="b"} 1e3 1700000000\n', [{ labels: { a: 'b' }, value: 1_000 }]],
    ['spaces and a last comma', 'vllm:x { a = "b" , } 1', [{ labels: { a: 'b' }, value: 1 }]],
    [
      'braces in a label',
      'vllm:x{a="}{ \\" ,",b="\\\\"} 1',
      [{ labels: { a: '}{ " ,', b: '\\' }, value: 1 }],
    ],
    ['a line feed in a label', 'vllm:x{a="b\\nc"} 1', [{ labels: { a: 'b\nc' }, value: 1 }]],
    [
      'several series',
      'vllm:x{e="0"} 1\nother 5\nvllm:x{e="1"} 2',
      [
        { labels: { e: '0' }, value: 1 },
        { labels: { e: '1' }, value: 2 },
      ],
    ],
  ])('is read with %s', (_name, page, series) => {
    expect(read(page)).toEqual(series);
  });

  it.each([
    ['comments', '# HELP vllm:x 1\n# TYPE vllm:x gauge\n'],
    ['longer names', 'vllm:x_total 1\nvllm:xy{} 1\n'],
    ['no number', 'vllm:x NaN\nvllm:x +Inf\nvllm:x\nvllm:x {}\nvllm:x one\n'],
    ['labels that do not end', 'vllm:x{a="b 1\n'],
    ['labels without quotes', 'vllm:x{a=b} 1\n'],
    ['nothing', ''],
  ])('leaves out %s', (_name, page) => {
    expect(read(page)).toEqual([]);
  });

  it('survives any text, and finds what stands among it', () => {
    const line = fc
      .string({ unit: 'binary', maxLength: 60 })
      .map((text) => text.replaceAll('\n', ''));
    fc.assert(
      fc.property(fc.array(line), fc.array(line), fc.integer(), (before, after, value) => {
        const foreign = [...before, ...after].filter((text) => !text.startsWith(NAME));
        const page = [...foreign, `${NAME}{a="b"} ${value}`, ...foreign].join('\n');
        expect(read(page)).toEqual([{ labels: { a: 'b' }, value }]);
      }),
    );
  });

  it('reads back the labels that were written', () => {
    const labels = fc.dictionary(
      fc.stringMatching(/^[a-z_]{1,8}$/),
      fc.string({ unit: 'grapheme' }),
      { maxKeys: 5, noNullPrototype: true },
    );
    fc.assert(
      fc.property(labels, fc.double({ noNaN: true, noDefaultInfinity: true }), (all, value) => {
        const pairs = Object.entries(all).map(([key, text]) => `${key}="${escape(text)}"`);
        const [series] = read(`${NAME}{${pairs.join(',')}} ${value}\n`);
        expect(series?.labels).toEqual(all);
        // JSON has no -0, and neither has the page.
        expect(series?.value).toBe(value + 0);
      }),
    );
  });
});

function escape(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
