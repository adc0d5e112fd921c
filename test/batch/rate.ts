/**
 * Measures the runner of batches on this machine, in one run: how fast plain jobs of class batch go
 * through, submitted over HTTP, and how fast the same requests go through as a batch; and how much memory
 * its runner takes meanwhile. `npm run batch-rate -- [lines] [bytes of the smallest line] [of the
 * largest]`.
 *
 * The engine answers at once: what is measured is the way to it and back.
 */
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BatchRecord } from '@qarr/router-core';
import { chatLine, startBatchWorld } from '../harness/batch-world.ts';
import type { BatchWorld, Child, TestLine } from '../harness/batch-world.ts';

const [lineCount = 5_000, bytesMin = 1_000, bytesMax = 8_000] = process.argv.slice(2).map(Number);
const CLIENTS = 32;
const JOBS = Math.min(lineCount, 5_000);
const WORKER = { QARR_CONCURRENCY: '64' };
const SAMPLE_MS = 250;
/** Where a machine that has other things to do does not answer in time. */
const RETRY_MS = 100;

await measure(await startBatchWorld());

async function measure(world: BatchWorld): Promise<void> {
  try {
    const [runner] = await Promise.all([world.startRunner(), world.startWorker('fast', WORKER)]);
    const plain = await ratePlain(world);
    say(`plain jobs: ${plain.toFixed(0)}/s`);
    const batch = await rateOfBatch(world, runner);
    say(`lines: ${batch.toFixed(0)}/s, ${((100 * batch) / plain).toFixed(0)} % of that`);
  } finally {
    await world.stop();
  }
}

/** Jobs per second, from the first submission to the last end. */
async function ratePlain({ startApi, store }: BatchWorld): Promise<number> {
  const api = await startApi();
  const left = testLines(JOBS)[Symbol.iterator]();
  const begunAtMs = performance.now();
  const clients = Array.from({ length: CLIENTS }, async () => {
    for (const { body } of left) while (!(await submit(api.url, body))) await sleep(RETRY_MS);
  });
  await Promise.all(clients);
  for (;;) {
    const { load } = await store.status('fast');
    if (load.waiting.batch.jobs + load.running.batch.jobs === 0) break;
    await sleep(20);
  }
  const seconds = (performance.now() - begunAtMs) / 1_000;
  await api.stop();
  return JOBS / seconds;
}

async function submit(url: string, body: object): Promise<boolean> {
  const response = await fetch(`${url}/v1/jobs`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...body, class: 'batch' }),
  });
  const text = await response.text();
  if (response.status !== 202 && response.status !== 503) throw new Error(text);
  return response.status === 202;
}

/** Lines per second, from the making of the batch to its files. */
async function rateOfBatch(world: BatchWorld, runner: Child): Promise<number> {
  const before = await memoryOf(runner.pid);
  let peak = before;
  let over: BatchRecord | null = null;
  const { id } = await world.make(testLines(lineCount));
  while (over === null) {
    peak = Math.max(peak, await memoryOf(runner.pid));
    over = await world.untilOver(id, SAMPLE_MS).catch(() => null);
  }
  const { createdAt, inProgressAt, finalizingAt, completedAt, completed, failed, total } = over;
  const [validated = 0, fed = 0, ended = 0] = [inProgressAt, finalizingAt, completedAt].map(Number);
  const [readMs, feedMs, filesMs] = [validated - createdAt, fed - validated, ended - fed];
  say(`${over.state}: ${completed} + ${failed} of ${total}`);
  say(`validated in ${readMs} ms, worked off in ${feedMs} ms, files in ${filesMs} ms`);
  say(`runner: ${megabytes(before)} MB before, at most ${megabytes(peak)} MB`);
  return (1_000 * total) / (ended - createdAt);
}

/** Every size between the two is as frequent as any other. */
function testLines(count: number): TestLine[] {
  return Array.from({ length: count }, (_, line) => {
    const bytes = bytesMin + ((line * 7_919) % (bytesMax - bytesMin + 1));
    const content = `${line} ${'word '.repeat(bytes / 5)}`;
    return chatLine(`line-${line}`, { messages: [{ role: 'user', content }] });
  });
}

/** Of the process, in bytes; 0 where this system does not tell. */
async function memoryOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) * 1_024;
}

function megabytes(bytes: number): string {
  return (bytes / 1_048_576).toFixed(0);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
