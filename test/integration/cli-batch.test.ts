/** `qarr batch` with the real API, a runner and a worker; and the client's example of a batch. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startBatchWorld } from '../harness/batch-world.ts';
import type { BatchWorld, OutcomeLine } from '../harness/batch-world.ts';
import { COMPILE_CACHE } from '../harness/compile-cache.ts';
import { waitUntil } from '../harness/wait-until.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const CLIENT = path.join(ROOT, 'packages/client');
const ROWS = 60;

let world: BatchWorld;
let apiUrl: string;
let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'qarr-cli-batch-'));
  world = await startBatchWorld({ environment: { QARR_BATCH_COMMIT_LINES: '5' } });
  const [api] = await Promise.all([world.startApi(), world.startRunner()]);
  apiUrl = api.url;
});
afterAll(async () => {
  await world.stop();
  rmSync(folder, { recursive: true });
});

function run(file: string, args: readonly string[]) {
  const child = spawn(process.execPath, [file, ...args], {
    cwd: folder,
    env: { ...COMPILE_CACHE, PATH: process.env['PATH'], PORT: new URL(apiUrl).port },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const said = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said.stderr += text));
  const ended = once(child, 'close').then(() => ({ exitCode: child.exitCode, ...said }));
  return { child, said, ended };
}

const qarr = (...args: string[]) => run(path.join(ROOT, 'apps/cli/src/main.ts'), args);
const read = (name: string) => readFileSync(path.join(folder, name), 'utf8');

it('runs the rows of a CSV, is interrupted, and ends with the bytes of the batch', async () => {
  const rows = Array.from({ length: ROWS }, (_, row) => `id-${row},"a, ${row}"\n`).join('');
  writeFileSync(path.join(folder, 'in.csv'), `id,topic\n${rows}`);
  const files = ['-o', 'out.jsonl', '--errors', 'errors.jsonl'];
  const made = ['--id-column', 'id', '--template', 'Tell me of {topic}.', '--max-tokens', '4'];
  // Nobody works yet: it is interrupted before the first answer.
  const first = qarr('batch', 'run', 'in.csv', ...files, ...made);
  const id = await waitUntil('the batch runs', () => {
    const [, found] = /^batch (batch_\w+)$/m.exec(first.said.stderr) ?? [];
    return first.said.stderr.includes('in_progress, 0/60') ? found : undefined;
  });
  first.child.kill('SIGINT');
  expect(await first.ended).toMatchObject({ exitCode: 130, stdout: '' });
  expect(first.said.stderr).toContain(`qarr batch resume ${id} -o out.jsonl --errors errors.jsonl`);

  const resumed = qarr('batch', 'resume', id, ...files, '--json').ended;
  await world.startWorker('fast');
  const second = await resumed;
  expect(second).toMatchObject({ exitCode: 0 });
  const { batch, tiers } = JSON.parse(second.stdout);
  expect(batch).toMatchObject({
    id,
    status: 'completed',
    request_counts: { total: ROWS, completed: ROWS, failed: 0 },
  });
  expect(tiers).toEqual({ fast: ROWS });
  const lines = await world.lines(batch.output_file_id);
  const ids = lines.map(({ custom_id }) => custom_id);
  expect(ids.toSorted()).toEqual(Array.from({ length: ROWS }, (_, row) => `id-${row}`).toSorted());
  expect(read('out.jsonl')).toBe(
    readFileSync(path.join(world.folder, 'files', batch.output_file_id), 'utf8'),
  );
  expect(read('errors.jsonl')).toBe('');

  const results = await qarr('batch', 'results', id, '--after', '58').ended;
  expect(results.stderr).toBe(`next: --after ${ROWS}\n`);
  const last: OutcomeLine[] = results.stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(last.map((line) => line.custom_id)).toEqual(ids.slice(58));
});

it('tells what the API says of a file that it was given unseen, and of where a prompt would go', async () => {
  writeFileSync(path.join(folder, 'bad.jsonl'), '{"custom_id":"a","method":"GET"}\nnothing\n');
  const args = ['-o', 'bad-out.jsonl', '--no-check', '--endpoint', '/v1/completions'];
  const [failed, validated, routed, listed] = await Promise.all([
    qarr('batch', 'run', 'bad.jsonl', ...args).ended,
    qarr('batch', 'validate', 'bad.jsonl', '--endpoint', '/v1/completions', '--json').ended,
    qarr('route', '--tier', 'precise', '--json', 'Hello').ended,
    qarr('batch', 'list', '--json').ended,
  ]);
  expect(failed).toMatchObject({ exitCode: 1, stdout: '' });
  expect(failed.stderr).toMatch(
    /line 1: invalid_method: .*\nline 2: invalid_json_line: .*\nqarr: the batch batch_\w+ has failed: mend/,
  );
  // Offline it says the same.
  const { errors } = JSON.parse(validated.stdout);
  expect(validated.exitCode).toBe(1);
  for (const { line, code, message } of errors) {
    expect(failed.stderr).toContain(`line ${line}: ${code}: ${message}\n`);
  }
  expect(existsSync(path.join(folder, 'bad-out.jsonl'))).toBe(false);
  expect(JSON.parse(routed.stdout)).toMatchObject({ tier: 'precise', reasons: ['pinned'] });
  expect(JSON.parse(listed.stdout)).toMatchObject({ object: 'list' });
});

it("runs the client's example of a batch", async () => {
  const [, example = ''] =
    /^```js\n(.*?)^```$/ms.exec(readFileSync(path.join(CLIENT, 'README.md'), 'utf8')) ?? [];
  mkdirSync(path.join(folder, 'node_modules/@qarr'), { recursive: true });
  symlinkSync(CLIENT, path.join(folder, 'node_modules/@qarr/client'));
  const file = path.join(folder, 'example.mjs');
  writeFileSync(file, example.replace('http://127.0.0.1:8080', apiUrl));
  const { stdout, stderr } = await run(file, []).ended;
  expect(stderr).toBe('');
  expect(stdout.split('\n').toSorted()).toEqual(['', 'completed 2 of 2', 'green', 'red']);
});
