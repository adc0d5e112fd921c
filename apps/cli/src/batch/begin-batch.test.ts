/** What is known before an upload is told before it, and what an API refuses leaves nothing there. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createClient } from '@qarr/client';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startTestApi } from './api-for-test.ts';
import type { TestApi } from './api-for-test.ts';
import { beginBatch, requireWindow } from './begin-batch.ts';

let api: TestApi;
let folder: string;
beforeEach(async () => {
  api = await startTestApi({ total: 2 });
  folder = mkdtempSync(path.join(tmpdir(), 'qarr-begin-'));
});
afterEach(async () => {
  await api.stop();
  rmSync(folder, { recursive: true });
});

async function begin(temperatures: readonly number[], { isChecked = true } = {}) {
  const file = path.join(folder, 'in.jsonl');
  const messages = [{ role: 'user', content: 'Hi' }];
  const lines = temperatures.map((temperature, index) => {
    const body = { model: 'auto', messages, temperature };
    const line = { custom_id: `${index}`, method: 'POST', url: '/v1/chat/completions', body };
    return `${JSON.stringify(line)}\n`;
  });
  writeFileSync(file, lines.join(''));
  const said: string[] = [];
  const { signal } = new AbortController();
  const outcome: unknown = await beginBatch(
    { path: file, bytes: lines.join('').length, filename: 'in.jsonl', async remove() {} },
    { endpoint: undefined, window: '5m', isChecked },
    {
      client: createClient({ baseUrl: api.url, maxRetries: 0 }),
      baseUrl: api.url,
      hasKey: false,
      stdout: { write: () => true },
      stderr: { write: () => true },
      signal,
      killSignal: signal,
      reporter: { line: (text) => said.push(text), note() {}, progress() {}, stop() {} },
      meter: { fetch, onSent() {} },
    },
  ).catch((error: unknown) => error);
  return { outcome, said };
}

test('lines that will be refused are told, and the others run', async () => {
  const { outcome, said } = await begin([1, 9, 1]);
  expect(outcome).toMatchObject({ id: 'batch_1' });
  expect(said[0]).toMatch(/^line 2: \w+: temperature /);
  expect(said[1]).toBe('in.jsonl: 1 of 3 lines will be refused, the others run');
  expect((await begin([9], { isChecked: false })).outcome).toMatchObject({ id: 'batch_1' });
});

test('nothing is uploaded of which no line would run', async () => {
  const { outcome } = await begin([9, 9]);
  expect(outcome).toMatchObject({
    exitCode: 1,
    message: expect.stringMatching(/^nothing was uploaded: .* the first one as line 1: .*tempera/),
  });
  expect(api.asked).toEqual([]);
});

test.each([
  [400, 'invalid_request', 'was deleted again', true],
  // There may be a batch of it.
  [503, 'queue_unavailable', 'is still there', false],
])('a batch that is answered with %i (%s): its file %s', async (status, code, told, isDeleted) => {
  api.intercept = ({ url }, response) => {
    if (url !== '/v1/batches') return false;
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ error: { code, message: 'No.' } }));
    return true;
  };
  const { outcome } = await begin([1]);
  expect(String(outcome)).toMatch(new RegExp(`No\\.\\); .* file-in, ${told}$`));
  expect(api.asked.includes('DELETE /v1/files/file-in')).toBe(isDeleted);
});

test('a window that is none is bad use', () => {
  for (const good of ['90m', '24h', '7d']) requireWindow(good);
  for (const bad of ['0h', '5', 'soon', '24 h']) {
    expect(() => requireWindow(bad)).toThrow(expect.objectContaining({ exitCode: 2 }));
  }
});
