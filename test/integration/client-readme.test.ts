/** The examples of the client's README, run as they stand. */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startApiWorld } from '../harness/api.ts';
import type { ApiWorld, TestAttempt, TestWorker } from '../harness/api.ts';

const CLIENT = path.join(import.meta.dirname, '../../packages/client');
const EXAMPLE = /^```ts\n(.*?)^```$/gms;

let world: ApiWorld;
let worker: TestWorker;
let folder: string;
let examples: string[];
beforeAll(async () => {
  world = await startApiWorld();
  worker = await world.startWorker('fast');
  folder = await mkdtemp(path.join(tmpdir(), 'qarr-readme-'));
  await mkdir(path.join(folder, 'node_modules/@qarr'), { recursive: true });
  await symlink(CLIENT, path.join(folder, 'node_modules/@qarr/client'));
  const readme = await readFile(path.join(CLIENT, 'README.md'), 'utf8');
  examples = [...readme.matchAll(EXAMPLE)].map(([, code = '']) =>
    code.replaceAll('http://127.0.0.1:8080', world.api.url),
  );
});
afterAll(async () => {
  await world.stop();
  await rm(folder, { recursive: true });
});

/** What each prints, in their order. */
const EXPECTED = [
  /^tier fast, because: default\nHello, world!\n2 tokens\n$/,
  /^3 delta\n4 delta\n5 completed\n$/,
  /^invalid_request 400 max_tokens false\nrequest req_\w+, come back after null ms\n$/,
  /^foreground false Hello, world!\n$/,
];

it('has an expectation for each example', () => {
  expect(examples).toHaveLength(EXPECTED.length);
});

it.each([...EXPECTED.entries()])('runs example %i', async (index, expected) => {
  const file = path.join(folder, `example-${index}.ts`);
  await writeFile(file, examples[index] ?? '');
  const asksNothing = index === 2;
  const [{ stdout }] = await Promise.all([
    promisify(execFile)(process.execPath, [file], { timeout: 30_000 }),
    asksNothing ? null : answer(await worker.next()),
  ]);
  expect(stdout).toMatch(expected);
});

async function answer(attempt: TestAttempt): Promise<void> {
  await attempt.say('Hello, ');
  await attempt.say('world!');
  await attempt.complete();
}
