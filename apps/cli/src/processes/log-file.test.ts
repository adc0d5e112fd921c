import { describe, expect, test } from 'vitest';
import { lastWords } from './log-file.ts';

describe('lastWords', () => {
  test('prefers what a process says to people over what follows it', () => {
    const log = 'qarr-worker: QARR_UPSTREAM_URL is missing\n{"level":30,"msg":"bye"}\nbye\n';
    expect(lastWords(log)).toBe('qarr-worker: QARR_UPSTREAM_URL is missing');
  });

  test('finds the error of a stack trace', () => {
    const log = [
      'node:internal/modules/cjs/loader:1568',
      '  throw err;',
      "Error: Cannot find module 'x'",
      '    at Module._load {',
      "  code: 'MODULE_NOT_FOUND',",
      '}',
      'Node.js v24.21.0',
    ].join('\n');
    expect(lastWords(log)).toBe("Error: Cannot find module 'x'");
  });

  test('else takes the last line that is not a log record', () => {
    expect(lastWords('one\ntwo\n{"level":30}\n\n')).toBe('two');
    expect(lastWords('{"level":30}\n')).toBe('');
    expect(lastWords('')).toBe('');
  });

  test('may leave that line out', () => {
    expect(lastWords('Ready to accept connections\n', { onlyErrors: true })).toBe('');
    const fatal = 'FATAL ERROR: Reached heap limit Allocation failed';
    expect(lastWords(`${fatal}\n ----- Native stack trace -----\n`, { onlyErrors: true })).toBe(
      fatal,
    );
  });

  test('is short', () => {
    expect(lastWords('x'.repeat(5000)).length).toBeLessThan(400);
  });
});
