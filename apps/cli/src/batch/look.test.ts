/** A batch as it is shown, and where its results may go. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createClient } from '@qarr/client';
import { expect, test } from 'vitest';
import { startTestApi } from './api-for-test.ts';
import { showBatch, writeResults } from './look.ts';

async function withApi(work: (deps: Parameters<typeof showBatch>[1], api: Api) => Promise<void>) {
  const api = await startTestApi({ total: 20 });
  const { signal } = new AbortController();
  const said: string[] = [];
  const output = { write: (text: string) => said.push(text) };
  const client = createClient({ baseUrl: api.url, maxRetries: 0 });
  const known = { client, baseUrl: api.url, hasKey: false, asJson: false };
  try {
    const more = { stdout: output, stderr: output, signal, killSignal: signal };
    await work({ ...known, ...more }, { ...api, said });
  } finally {
    await api.stop();
  }
}
type Api = Awaited<ReturnType<typeof startTestApi>> & { said: string[] };

test('says when a batch expires only as long as it may', async () => {
  await withApi(async (deps, { batch, said }) => {
    await showBatch('batch_1', deps);
    expect(said).toContain('expires     2026-09-22T14:13:20Z\n');
    said.length = 0;
    const data = [{ code: 'invalid_json_line', message: 'No.', param: null, line: 7 }];
    Object.assign(batch, { status: 'failed', errors: { object: 'list', data } });
    await showBatch('batch_1', deps);
    expect(said.slice(-2)).toEqual(['error file  none\n', 'line 7: invalid_json_line: No.\n']);
  });
});

test('results do not go where a folder is', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'qarr-look-'));
  await withApi(async (deps, { asked }) => {
    const work = writeResults('batch_1', { after: undefined, output: folder }, deps);
    await expect(work).rejects.toMatchObject({ exitCode: 2 });
    expect(asked).toEqual([]);
  });
  expect(readdirSync(folder)).toEqual([]);
  rmSync(folder, { recursive: true });
});

test('says which key is needed', async () => {
  await withApi(async (deps) => {
    const refused = createClient({
      baseUrl: deps.baseUrl,
      maxRetries: 0,
      fetch: async () =>
        Response.json({ error: { code: 'invalid_api_key', message: 'No.' } }, { status: 401 }),
    });
    await expect(showBatch('batch_1', { ...deps, client: refused })).rejects.toThrow(
      '(qarr keys create --owner NAME --scopes batch)',
    );
  });
});
