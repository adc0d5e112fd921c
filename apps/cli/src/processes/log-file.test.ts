import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { lastWords, readTail } from './log-file.ts';

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

  test('else takes what the last log record says', () => {
    expect(lastWords('{"level":30,"msg":"drained"}\n')).toBe('drained');
    expect(lastWords('{"level":30,"msg":"drained"}\n', { onlyErrors: true })).toBe('');
    expect(lastWords('{"level":30,"msg":5}\n{"level":\n')).toBe('');
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

test('the end of a long log begins with a whole line', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'qarr-log-'));
  const file = path.join(folder, 'a.log');
  try {
    const line = `${JSON.stringify({ level: 30, trace_id: 'x'.repeat(100) })}\n`;
    writeFileSync(file, line.repeat(1_000));
    const tail = readTail({ file });
    expect(tail.startsWith('{"level"')).toBe(true);
    expect(tail.length).toBeGreaterThan(16_000);
    expect(lastWords(tail)).toBe('');
    // What was begun at is a line already.
    expect(readTail({ file, from: line.length * 999 })).toBe(line);
    writeFileSync(file, 'x'.repeat(20_000));
    expect(readTail({ file })).toMatch(/^x{16384}$/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
