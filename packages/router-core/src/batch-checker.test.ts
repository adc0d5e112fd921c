import { describe, expect, it } from 'vitest';
import { createBatchChecker } from './batch-checker.ts';
import type { BatchLimits } from './batch-checker.ts';

const URL = '/v1/chat/completions';
const good = (customId: string) =>
  JSON.stringify({ custom_id: customId, method: 'POST', url: URL, body: { model: 'auto' } });

function check(texts: readonly string[], limits: Partial<BatchLimits> = {}) {
  const checker = createBatchChecker({
    endpoint: URL,
    linesMax: 100,
    lineBytesMax: 1_000,
    errorsMax: 10,
    ...limits,
  });
  const ids = texts.map((text, index) => {
    const at = { number: index + 1, start: 0, bytes: text.length };
    return checker.line({ kind: 'text', text, ...at })?.customId ?? null;
  });
  return { ids, errors: checker.end(), isFull: checker.isFull, total: checker.total };
}
const codes = (texts: readonly string[], limits: Partial<BatchLimits> = {}) =>
  check(texts, limits).errors.map(({ line, code }) => [line, code]);

describe('an input file', () => {
  it('is right where its lines are, blank ones between them', () => {
    const { ids, errors, total } = check([good('a'), ' \t', good('b'), '']);
    expect({ ids, errors, total }).toEqual({ ids: ['a', null, 'b', null], errors: [], total: 2 });
  });

  it.each([[[]], [['', '  ']]])('has a line', (texts: string[]) => {
    expect(codes(texts)).toEqual([[null, 'empty_file']]);
  });

  it('has each custom_id once', () => {
    const { errors } = check([good('a'), '', good('b'), good('a'), good('a')]);
    expect(errors.map(({ line, code, param }) => [line, code, param])).toEqual([
      [4, 'duplicate_custom_id', 'custom_id'],
      [5, 'duplicate_custom_id', 'custom_id'],
    ]);
    expect(errors[0]?.message).toContain('line 1');
  });

  it('has as many lines as it may', () => {
    expect(codes([good('a'), '', good('b')], { linesMax: 2 })).toEqual([]);
    const { errors, isFull } = check([good('a'), good('b'), good('c'), '{'], { linesMax: 2 });
    expect(errors.map(({ line, code }) => [line, code])).toEqual([[3, 'too_many_tasks']]);
    expect(isFull).toBe(true);
    // Also where they are wrong.
    expect(codes(['{', '{', '{'], { linesMax: 2 }).at(-1)).toEqual([3, 'too_many_tasks']);
  });

  it('has as many blank lines at most', () => {
    const twice = ['', good('a'), '', good('b')];
    expect(codes(twice, { linesMax: 2 })).toEqual([]);
    const { errors, isFull } = check([...twice, ''], { linesMax: 2 });
    expect(errors.map(({ line, code }) => [line, code])).toEqual([[5, 'too_many_lines']]);
    expect(isFull).toBe(true);
    expect(codes(['', '', ' ', '{'], { linesMax: 1 })).toEqual([[3, 'too_many_lines']]);
  });

  it('is told as many errors as are asked for', () => {
    const { errors, isFull } = check(['{', '[', '1'], { errorsMax: 2 });
    expect([errors.length, isFull]).toEqual([2, true]);
    expect(check(['{'], { errorsMax: 2 }).isFull).toBe(false);
  });

  it('may have lines that nobody can read', () => {
    const checker = createBatchChecker({
      endpoint: URL,
      linesMax: 9,
      lineBytesMax: 5,
      errorsMax: 9,
    });
    for (const [index, kind] of (['line_too_long', 'invalid_utf8'] as const).entries()) {
      expect(checker.line({ kind, number: index + 1, start: 0, bytes: 6 })).toBeNull();
    }
    expect(checker.end().map(({ line, code }) => [line, code])).toEqual([
      [1, 'line_too_long'],
      [2, 'invalid_utf8'],
    ]);
  });
});
