/** `qarr batch` against an API that has its bad days: what is written is whole, or not there. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createClient } from '@qarr/client';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { expectedFiles, startTestApi } from './api-for-test.ts';
import type { TestApi } from './api-for-test.ts';
import { resumeBatch } from './run.ts';

const MAIN = path.join(import.meta.dirname, '../main.ts');
/** The same sources are started often: this halves what a start costs. */
const COMPILE_CACHE = path.join(tmpdir(), 'qarr-tests-compiled');
const TOTAL = 1_250;

let api: TestApi;
let folder: string;
beforeEach(async () => {
  api = await startTestApi({ total: TOTAL });
  folder = mkdtempSync(path.join(tmpdir(), 'qarr batch '));
});
afterEach(async () => {
  await api.stop();
  rmSync(folder, { recursive: true });
});

const inFolder = (name: string) => path.join(folder, name);
const read = (name: string) => readFileSync(inFolder(name), 'utf8');

/** The command in a process of its own, whose output is no terminal. */
function qarr(...args: string[]) {
  const child = spawn(process.execPath, [MAIN, ...args, '--url', api.url], {
    cwd: folder,
    env: { PATH: process.env['PATH'], TMPDIR: folder, NODE_COMPILE_CACHE: COMPILE_CACHE },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const said = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said.stderr += text));
  const ended = once(child, 'close').then(() => ({ exitCode: child.exitCode, ...said }));
  return { child, said, ended };
}

/** What `qarr batch resume` does, in this process. */
async function follow({ errors = false, asJson = false, clientOptions = {} } = {}) {
  let stdout = '';
  let stderr = '';
  const statuses: string[] = [];
  const never = new AbortController().signal;
  const problem: unknown = await resumeBatch(
    'batch_1',
    {
      output: inFolder('out.jsonl'),
      errors: errors ? inFolder('errors.jsonl') : undefined,
      cancelsOnInterrupt: false,
      asJson,
    },
    {
      client: createClient({ baseUrl: api.url, maxRetries: 0, ...clientOptions }),
      baseUrl: api.url,
      hasKey: false,
      stdout: { write: (text) => (stdout += text) },
      stderr: { write: (text) => (stderr += text) },
      signal: never,
      killSignal: never,
      reporter: {
        line: (text) => (stderr += `${text}\n`),
        note: (text) => (stderr += `${text}\n`),
        progress: ({ status }) => statuses.push(status),
        stop() {},
      },
    },
  ).catch((error: unknown) => error);
  return { problem, stdout, stderr, statuses };
}

test('is interrupted, taken up and ended with the same bytes, each fetched once', async () => {
  writeFileSync(inFolder('in.txt'), 'one\ntwo\n');
  api.run(600);
  const args = ['-o', 'my out.jsonl', '--errors', 'errors.jsonl'];
  const running = qarr('batch', 'run', 'in.txt', ...args, '--tier', 'fast');
  await vi.waitFor(() => expect(read('my out.jsonl.resume')).toContain('"cursor":"600"'), 20_000);
  running.child.kill('SIGINT');
  const first = await running.ended;
  expect(first.exitCode).toBe(130);
  const command = "qarr batch resume batch_1 -o 'my out.jsonl' --errors errors.jsonl";
  expect(first.stderr).toContain(`the batch goes on; take it up: ${command}\n`);
  expect(first.stdout).toBe('');
  expect(first.stderr.replaceAll('\n', '')).not.toMatch(/\p{Cc}/u);
  expect(existsSync(inFolder('my out.jsonl'))).toBe(false);
  // What it has made of the text is gone, and was uploaded.
  expect(readdirSync(folder).filter((name) => name.startsWith('qarr-batch-'))).toEqual([]);
  expect(api.uploaded.split('\n').map((line) => JSON.parse(line).body.model)).toEqual([
    'fast',
    'fast',
  ]);

  api.run(TOTAL);
  api.end();
  const asked = api.asked.length;
  const second = await qarr('batch', 'resume', 'batch_1', ...args, '--json').ended;
  expect(second.exitCode).toBe(3);
  expect(second.stderr).toMatch(/qarr: completed: 1,125 answered, 125 not; see errors\.jsonl\n$/);
  expect(JSON.parse(second.stdout)).toMatchObject({
    batch: { id: 'batch_1', request_counts: { total: TOTAL } },
    output: 'my out.jsonl',
    tiers: { fast: 625, precise: 500 },
  });
  const { output, errors } = expectedFiles(TOTAL);
  expect(read('my out.jsonl')).toBe(output);
  expect(read('errors.jsonl')).toBe(errors);
  expect(readdirSync(folder).toSorted()).toEqual(['errors.jsonl', 'in.txt', 'my out.jsonl']);
  const pages = api.asked.slice(asked).filter((line) => line.includes('/results'));
  expect(pages[0]).toContain('after=600');
  expect(pages).toHaveLength(7);
  expect(api.asked.filter((line) => line.includes('/content'))).toEqual([]);
});

test('goes on behind the last page that was written whole, and trusts nothing behind it', async () => {
  api.run(300);
  api.end();
  let pages = 0;
  api.intercept = (request, response) => {
    if (request.url?.includes('/results') !== true || ++pages < 3) return false;
    response.writeHead(404).end('{"error":{"code":"batch_not_found","message":"No."}}');
    return true;
  };
  const { problem } = await follow();
  expect(String(problem)).toMatch(
    /batch_not_found: No\.\); then go on: qarr batch resume batch_1 /,
  );
  expect(existsSync(inFolder('out.jsonl'))).toBe(false);
  // As a crash leaves it, in the middle of a page.
  writeFileSync(
    inFolder('out.jsonl.part'),
    `${read('out.jsonl.part')}{"id":"${'x'.repeat(90_000)}`,
  );
  api.intercept = () => false;
  expect(String((await follow()).problem)).toContain('completed: 270 answered, 30 not; see them');
  expect(read('out.jsonl')).toBe(expectedFiles(300).output);
  expect(readdirSync(folder)).toEqual(['out.jsonl']);
});

test.each([
  ['of another batch', (text: string) => text.replace('batch_1', 'batch_2')],
  [
    'longer than what is there',
    (text: string) => text.replace(/"outputBytes":\d+/, '"outputBytes":99999999'),
  ],
  ['of other files', (text: string) => text.replace('"errorBytes":null', '"errorBytes":0')],
  ['no JSON', () => 'x'],
])('begins anew where what it left is %s', async (name, change) => {
  api.run(150);
  api.intercept = ({ url }, response) => {
    if (url?.includes('after=100') !== true) return false;
    response.writeHead(404).end('{"error":{"code":"batch_not_found","message":"No."}}');
    return true;
  };
  await follow();
  writeFileSync(inFolder('out.jsonl.resume'), change(read('out.jsonl.resume')));
  api.intercept = () => false;
  api.end();
  const asked = api.asked.length;
  const { stderr } = await follow();
  expect(stderr).toBe(
    name === 'of another batch'
      ? 'the interrupted download of batch_2 is discarded; have it elsewhere: qarr batch resume batch_2 -o FILE\n'
      : '',
  );
  const pages = api.asked.slice(asked).filter((line) => line.includes('/results'));
  expect(pages[0]).toContain('after=0&');
  expect(read('out.jsonl')).toBe(expectedFiles(150).output);
});

test("takes the batch's own files where they are not what was written, over cut connections", async () => {
  api.run(150);
  api.end();
  const output = `${expectedFiles(150).output}{"of":"more"}\n`;
  api.contents.set('file-output', output);
  let cuts = 0;
  api.intercept = ({ url, headers }, response) => {
    if (url?.endsWith('/file-output/content') !== true || cuts === 3) return false;
    cuts += 1;
    const from = Number(/\d+/.exec(headers.range ?? '0')?.[0]);
    const rest = Buffer.from(output).subarray(from);
    response.writeHead(from === 0 ? 200 : 206, { 'content-length': String(rest.length) });
    response.write(rest.subarray(0, 5_000), () => response.destroy());
    return true;
  };
  await follow({ errors: true });
  expect(cuts).toBe(3);
  expect(read('out.jsonl')).toBe(output);
  expect(read('errors.jsonl')).toBe(expectedFiles(150).errors);
});

test('waits for an API that is away, and says so', async () => {
  api.run(20);
  api.end();
  let refusals = 0;
  api.intercept = (_request, response) => {
    if (refusals === 2) return false;
    refusals += 1;
    if (refusals === 1) response.destroy();
    else response.writeHead(503).end('{"error":{"code":"queue_unavailable","message":"Not now."}}');
    return true;
  };
  const { stderr, statuses } = await follow();
  expect([...new Set(statuses)]).toEqual(['fetching', 'completed']);
  expect(stderr).toMatch(/^no answer, trying again: .*\nno answer, trying again: Not now\.\n/);
  expect(read('out.jsonl')).toBe(expectedFiles(20).output);
});

test('lists what is wrong with a batch that failed, and leaves no file', async () => {
  const errors = [
    { code: 'invalid_json_line', message: 'No JSON.\u001B[2J', param: null, line: 7 },
  ];
  const none = { total: 0, completed: 0, failed: 0 };
  const found = { object: 'list', data: errors };
  Object.assign(api.batch, { status: 'failed', errors: found, request_counts: none });
  const { problem, stdout, stderr } = await follow({ asJson: true });
  expect(problem).toMatchObject({ exitCode: 1, message: expect.stringContaining('has failed') });
  expect(stderr).toBe('line 7: invalid_json_line: No JSON.\uFFFD[2J\n');
  expect(JSON.parse(stdout)).toMatchObject({ batch: { status: 'failed' }, output: null });
  expect(readdirSync(folder)).toEqual([]);
});

test('touches nothing for a batch that there is not', async () => {
  writeFileSync(inFolder('out.jsonl.part'), 'of another batch');
  api.intercept = ({ url }, response) => {
    if (url !== '/v1/batches/batch_1') return false;
    response.writeHead(404).end('{"error":{"code":"batch_not_found","message":"No."}}');
    return true;
  };
  expect(String((await follow({ errors: true })).problem)).toMatch(/batch_not_found: No\.\)$/);
  expect(readdirSync(folder)).toEqual(['out.jsonl.part']);
  expect(read('out.jsonl.part')).toBe('of another batch');
});

test('keeps what is whole of a batch that has lost some of its answers', async () => {
  const lost = { code: 'outcomes_lost', message: 'Some are lost.', param: null, line: null };
  const errors = { object: 'list', data: [lost] };
  api.contents.set('file-output', 'whole\n');
  api.run(20);
  Object.assign(api.batch, { status: 'failed', errors, output_file_id: 'file-output' });
  const { problem, stderr } = await follow();
  expect(problem).toMatchObject({ exitCode: 1, message: expect.stringContaining('what is whole') });
  expect(stderr).toContain('outcomes_lost');
  expect(read('out.jsonl')).toBe('whole\n');
});

test('uploads nothing that would fail, and begins nothing whose result could not be written', async () => {
  writeFileSync(inFolder('in.jsonl'), '{"custom_id":"a"\n');
  const [bad, nowhere] = await Promise.all([
    qarr('batch', 'run', 'in.jsonl', '-o', 'out.jsonl').ended,
    qarr('batch', 'run', 'in.jsonl', '-o', 'no/out.jsonl').ended,
  ]);
  expect(bad).toMatchObject({ exitCode: 1, stdout: '' });
  expect(bad.stderr).toMatch(
    /^line 1: invalid_json_line: .*\nqarr: nothing was uploaded: mend .*\n$/,
  );
  expect(nowhere).toMatchObject({ exitCode: 1, stdout: '' });
  expect(nowhere.stderr).toMatch(/^qarr: no\/out\.jsonl cannot be written: .*\n$/);
  expect(api.asked).toEqual([]);
  expect(readdirSync(folder)).toEqual(['in.jsonl']);
});
