/** Runners of batches as real processes, with real workers: a batch comes to its end, whatever happens. */
import { rename, rm, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createWorkerStore } from '@qarr/job-store';
import { contentOf, lineJobId } from '@qarr/router-core';
import type { BatchRecord } from '@qarr/router-core';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { chatLine, startBatchWorld } from '../harness/batch-world.ts';
import type { BatchWorld, Child, OutcomeLine, TestLine } from '../harness/batch-world.ts';
import { ANYWHERE, newJob } from '../harness/store.ts';
import { waitUntil } from '../harness/wait-until.ts';

/** Of the test's own tier: it has no worker but what the test says. */
const ALERT_ABOVE = 2;
/** Which the rules send to the tier `precise`. */
const CODE = 'Fix this:\n```ts\nconst x: number = "1";\nfunction f() { return x; }\n```';
const WITHOUT_PRECISE = `
tiers:
  - { name: fast, precision: awq-int4, max_model_len: 8192, upstreams: ['http://127.0.0.1:1'] }
  - { name: balanced, precision: fp8, max_model_len: 32768, upstreams: ['http://127.0.0.1:1'] }
  - { name: idle, precision: bf16, max_model_len: 32768, upstreams: ['http://127.0.0.1:1'] }
routing:
  rules:
    - { tier: balanced, when: code }
    - { tier: fast, when: default }
`;
const LONG = { max_tokens: 6_000, ignore_eos: true };

let world: BatchWorld;
let leader: Child;

beforeAll(async () => {
  world = await startBatchWorld({
    engineFlags: ['--profile=awq-24gb', '--time-scale=0.1'],
    environment: {
      QARR_DEPTH_ALERT_PER_WORKER: String(ALERT_ABOVE),
      QARR_BATCH_COMMIT_MS_MAX: '500',
      // The engine is asked for lines alone.
      QARR_CANARY_EVERY_MS: '3600000',
    },
  });
  [leader] = await Promise.all([
    world.startRunner(),
    world.startWorker('fast'),
    world.startWorker('balanced'),
  ]);
});

afterAll(() => world.stop());

it('brings a batch of all kinds of lines to its end, each in the right file', async () => {
  const good = [
    ...numbered(40, (at) => chatLine(`pinned-${at}`, { model: at % 2 ? 'fast' : 'balanced' })),
    chatLine('routed', { model: 'auto', messages: [{ role: 'user', content: 'Hello' }] }),
  ];
  const bad = [
    chatLine('stream', { stream: true }),
    chatLine('too-hot', { temperature: 9 }),
    chatLine('no-model', { model: 'gpt-99' }),
    chatLine('too-long', { messages: [{ role: 'user', content: 'word '.repeat(90_000) }] }),
  ];
  // Nobody serves this tier, which keeps no other from its lines.
  const waiting = chatLine('waits', {
    model: 'precise',
    messages: [{ role: 'user', content: CODE }],
  });
  const lines = [waiting, ...good, ...bad];
  const { id } = await world.make(lines);
  await waitUntil('all others have their outcomes', async () => {
    const { completed, failed } = await world.get(id);
    return completed + failed === lines.length - 1;
  });
  expect(await world.get(id)).toMatchObject({ state: 'in_progress', completed: 41, failed: 4 });
  const worker = await world.startWorker('precise');
  const batch = await world.untilOver(id);
  expect(batch).toMatchObject({ state: 'completed', total: 46, completed: 42, failed: 4 });
  const { output, errors } = await outcomes(batch, lines);
  expect(idsOf(output).toSorted()).toEqual(idsOf([waiting, ...good]).toSorted());
  for (const { custom_id, response, error, qarr_tier } of output) {
    expect(response).toMatchObject({ status_code: 200, body: { object: 'chat.completion' } });
    expect(error).toBeNull();
    if (custom_id.startsWith('pinned')) expect(response?.body).toMatchObject({ model: qarr_tier });
  }
  expect(statusesOf(errors)).toEqual({
    stream: [400, 'unsupported_parameter'],
    'too-hot': [400, 'invalid_request'],
    'no-model': [404, 'model_not_found'],
    'too-long': [400, 'context_length_exceeded'],
  });
  expect(batch.usage.completionTokens).toBe(42 * 4);
  // What it was made of goes some time later, and nothing else is left.
  expect(await world.store.batchRuns.leftovers({ overForMs: 0, limit: 9 })).toContain(id);
  await waitUntil('its jobs are gone', async () => {
    const jobs = await Promise.all(
      output.map((line) => world.store.get(line.response?.request_id ?? '')),
    );
    return jobs.every((job) => job === null);
  });
  await worker.stop();
});

it('fails a batch whose file is not valid, with the lines that are wrong', async () => {
  const { id } = await world.make('{"custom_id":"a"}\nnonsense\n');
  const batch = await world.untilOver(id);
  expect(batch).toMatchObject({ state: 'failed', total: 0, outputFileId: null, errorFileId: null });
  expect(batch.errors.map(({ line }) => line)).toEqual([1, 2]);
});

it('keeps what is done of a batch that is cancelled, and ends the rest at once', async () => {
  const lines = [
    ...numbered(10, (at) => chatLine(`quick-${at}`)),
    ...numbered(60, (at) => chatLine(`long-${at}`, LONG)),
  ];
  const { id } = await world.make(lines);
  await waitUntil('some are done, others run', async () => (await world.get(id)).completed === 10);
  expect(await world.store.batches.cancel(id)).toMatchObject({ state: 'cancelling' });
  const batch = await world.untilOver(id);
  expect(batch).toMatchObject({ state: 'cancelled', completed: 10, failed: 60 });
  const { errors } = await outcomes(batch, lines);
  expect(new Set(errors.map(({ error }) => error?.code))).toEqual(new Set(['batch_cancelled']));
  // Also those that ran.
  expect(errors.filter(({ qarr_tier }) => qarr_tier === 'fast').length).toBeGreaterThan(0);
  await waitUntil('the tier has nothing left of it', async () => {
    const { load } = await world.store.status('fast');
    return load.waiting.batch.jobs + load.running.batch.jobs === 0;
  });
});

it('ends a batch whose time is up, with what is done of it', async () => {
  const lines = [chatLine('quick'), ...numbered(20, (at) => chatLine(`long-${at}`, LONG))];
  const { id } = await world.make(lines, { windowMs: 2_500 });
  const last = await afterOneThatWaits();
  const batch = await world.untilOver(id);
  expect(batch).toMatchObject({ state: 'expired', completed: 1, failed: 20 });
  const { errors } = await outcomes(batch, lines);
  expect(new Set(errors.map(({ error }) => error?.code))).toEqual(new Set(['batch_expired']));
  expect(await world.untilOver(last)).toMatchObject({ state: 'expired', completed: 0, failed: 1 });

  /** Its job has waited for all of the batch's time before the runner looks at the clock. */
  async function afterOneThatWaits(): Promise<string> {
    const {
      id: batchId,
      expiresAt,
      createdAt,
    } = await world.make([chatLine('waits', { model: 'precise' })], { windowMs: 2_000 });
    await world.store.submit(
      newJob({
        id: lineJobId(batchId, 0),
        owner: 'anonymous',
        class: 'batch',
        tier: 'precise',
        fallback: 'none',
        queueTimeoutMs: expiresAt - createdAt - 800,
        batch: { batchId, line: 0, customId: 'waits' },
      }),
      ANYWHERE,
    );
    await waitUntil('it has waited for too long', async () => {
      await world.store.sweep();
      const job = await world.store.get(lineJobId(batchId, 0));
      // Its outcome may be durable already.
      return job === null || job.state === 'expired';
    });
    return batchId;
  }
});

it('feeds nothing into a tier that alerts, and goes on when it does no more', async () => {
  const busy = await createWorkerStore({
    redisUrl: world.redisUrl,
    tier: 'precise',
    onCancel: () => {},
    onError: () => {},
  });
  const status = {
    id: 'busy',
    host: 'test',
    pid: process.pid,
    slots: 2,
    running: 0,
    breaker: 'closed' as const,
    upstream: 'http://127.0.0.1:1',
    model: 'm',
    max_model_len: null,
    service_ms: null,
  };
  const beating = setInterval(() => void busy.beat(status).catch(() => {}), 500);
  try {
    await busy.beat(status);
    const foreground = numbered(ALERT_ABOVE + 1, () =>
      newJob({ tier: 'precise', fallback: 'none' }),
    );
    for (const job of foreground) await world.store.submit(job, ANYWHERE);
    await waitUntil('it alerts', async () => {
      return (await world.store.status('precise')).load.isAlerting;
    });
    const lines = numbered(5, (at) => chatLine(`held-${at}`, { model: 'precise' }));
    const { id } = await world.make([...lines, chatLine('of-another-tier')]);
    await untilCompleted(id, 1);
    const { batch_lines: standings = {}, batch_window: windows = {} } = await figures(leader);
    expect([standings['pending'], windows['precise']]).toEqual([5, 0]);
    expect((await world.store.status('precise')).load.waiting.batch.jobs).toBe(0);
    for (const job of foreground) await world.store.cancel(job.id);
    // One at first, until it is taken.
    await waitUntil('its lines come', async () => {
      const found = await world.store.status('precise');
      return found.load.waiting.batch.jobs === 1;
    });
    await world.store.batches.cancel(id);
    expect(await world.untilOver(id)).toMatchObject({
      state: 'cancelled',
      completed: 1,
      failed: 5,
    });
  } finally {
    clearInterval(beating);
    await busy.leave(status.id);
    await busy.stop();
  }
});

it('waits for a file store that takes nothing, and loses nothing', async () => {
  const lines = numbered(60, (at) => chatLine(`kept-${at}`, { max_tokens: 40, ignore_eos: true }));
  const { id } = await world.make(lines);
  await waitUntil(
    'its lines run',
    async () => (await world.store.batches.linesInSystem(id)).length > 0,
  );
  const objects = join(world.folder, 'batches');
  await rename(objects, `${objects}-away`);
  await writeFile(objects, '');
  await waitUntil('the runner says so', () =>
    leader.logs.some(
      ({ batch_id: batch, msg }) =>
        batch === id && msg === 'finished lines wait for the file store',
    ),
  );
  // One that nobody could read in all of its time is not left for ever.
  const unread = await world.make([chatLine('unread')], { windowMs: 200 });
  expect(await world.untilOver(unread.id)).toMatchObject({
    state: 'failed',
    errors: [{ code: 'batch_expired' }],
  });
  expect((await world.get(id)).state).toBe('in_progress');
  await unlink(objects);
  await rename(`${objects}-away`, objects);
  const batch = await world.untilOver(id);
  expect(batch).toMatchObject({ state: 'completed', completed: 60 });
  await outcomes(batch, lines);
});

it('finishes a batch again whose end Redis has lost, also without what it was made of', async () => {
  const redis = new Redis(world.redisUrl);
  const lines = [...numbered(5, (at) => chatLine(`kept-${at}`)), chatLine('bad', { stream: true })];
  const { id } = await world.make(lines);
  const first = await world.untilOver(id);
  const contents = async () =>
    Promise.all([first.outputFileId, first.errorFileId].map((fileId) => world.lines(fileId)));
  const written = await contents();
  const loseEnd = async (fields: Record<string, number> = {}) => {
    const record = `qarr:{${id}}:batch`;
    await redis
      .multi()
      .hset(record, { ...fields, state: 'finalizing' })
      .hdel(record, 'completed_at', 'output_file', 'error_file')
      .zadd('qarr:batches', first.expiresAt, id)
      .exec();
    return world.untilOver(id);
  };
  const end = { state: 'completed', completed: 5, failed: 1, outputFileId: first.outputFileId };
  // Damaged as they are, these are written once more.
  await writeFile(join(world.folder, contentOf(first.outputFileId ?? '')), 'damaged');
  expect(await loseEnd()).toMatchObject(end);
  expect(await contents()).toEqual(written);
  await rm(join(world.folder, 'batches', id), { recursive: true });
  expect(await loseEnd()).toMatchObject(end);
  expect(await contents()).toEqual(written);

  // Nothing has come back for a long time.
  await rm(join(world.folder, contentOf(first.outputFileId ?? '')));
  const lost = await loseEnd({ finalizing_at: 1 });
  expect(lost).toMatchObject({ state: 'failed', outputFileId: null, completed: 5, failed: 1 });
  expect(lost.errors).toMatchObject([{ code: 'outcomes_lost', line: null }]);
  expect(lost.errorFileId).toBe(first.errorFileId);
  redis.disconnect();
});

it('hands batches over when it stops, and is replaced when it is killed: nothing runs twice', async () => {
  const before = await world.received();
  const lines = numbered(400, (at) => chatLine(`once-${at}`, { max_tokens: 30, ignore_eos: true }));
  const { id } = await world.make(lines);
  const moved = await world.make([
    chatLine('pinned', { model: 'precise' }),
    chatLine('routed', { model: 'auto', messages: [{ role: 'user', content: CODE }] }),
  ]);
  await untilCompleted(id, 20);
  await waitUntil('both are worked on', async () => {
    return (await world.get(moved.id)).state === 'in_progress';
  });
  expect(await leader.stop()).toBe(0);
  // Nobody has to wait for the end of its lease.
  const { batchRuns } = world.store;
  expect(await batchRuns.lease('a test')).not.toBeNull();
  await batchRuns.release('a test');

  const config = join(world.folder, 'without-precise.yaml');
  await writeFile(config, WITHOUT_PRECISE);
  const second = await world.startRunner({ QARR_CONFIG: config, QARR_BATCHES_ACTIVE_MAX: '1' });
  const third = await world.startRunner();
  // It is the next one to be worked on, but nobody serves its tier: it makes room for the others.
  const stuck = await world.make([chatLine('stuck', { model: 'idle' })], { windowMs: 3_600_000 });
  await waitUntil('it has the only place', async () => {
    return (await world.get(stuck.id)).state === 'in_progress';
  });
  await untilCompleted(id, (await world.get(id)).completed + 20);
  expect((await world.get(id)).state).toBe('in_progress');
  // Lines that were planned for a tier that is gone find another one, or nobody serves them.
  const { output, errors } = await outcomes(await world.untilOver(moved.id), [
    { custom_id: 'pinned', body: {} },
    { custom_id: 'routed', body: {} },
  ]);
  expect(output.map(({ custom_id, qarr_tier }) => [custom_id, qarr_tier])).toEqual([
    ['routed', 'balanced'],
  ]);
  expect(statusesOf(errors)).toEqual({ pinned: [404, 'model_not_found'] });
  second.kill('SIGKILL');
  await second.exited;
  await leaseRunsOut();
  await waitUntil('the third takes over', () => hasTerm(third), { timeoutMs: 40_000 });
  const batch = await world.untilOver(id, 60_000);
  expect(batch).toMatchObject({ state: 'completed', completed: 400, failed: 0 });
  await outcomes(batch, lines);
  expect((await world.received()) - before).toBe(401);
});

/** Its lines, after a look that each custom_id is in exactly one file, once, as was counted. */
async function outcomes(
  batch: BatchRecord,
  input: readonly TestLine[],
): Promise<{ output: OutcomeLine[]; errors: OutcomeLine[] }> {
  const output = await world.lines(batch.outputFileId);
  const errors = await world.lines(batch.errorFileId);
  expect([output.length, errors.length]).toEqual([batch.completed, batch.failed]);
  expect(batch.completed + batch.failed).toBe(batch.total);
  expect([...idsOf(output), ...idsOf(errors)].toSorted()).toEqual(idsOf(input).toSorted());
  return { output, errors };
}

function idsOf(lines: readonly { custom_id: string }[]): string[] {
  return lines.map(({ custom_id }) => custom_id);
}

function statusesOf(lines: readonly OutcomeLine[]): Record<string, unknown[]> {
  return Object.fromEntries(
    lines.map(({ custom_id, response }) => {
      const { error } = (response?.body ?? {}) as { error?: { code: string } };
      return [custom_id, [response?.status_code, error?.code]];
    }),
  );
}

function numbered<Item>(count: number, make: (at: number) => Item): Item[] {
  return Array.from({ length: count }, (_, at) => make(at));
}

async function untilCompleted(batchId: string, count: number): Promise<void> {
  await waitUntil(`${count} are done`, async () => (await world.get(batchId)).completed >= count);
}

/** As it would in 10 s, which tests have not. */
async function leaseRunsOut(): Promise<void> {
  const redis = new Redis(world.redisUrl);
  try {
    await redis.hset('qarr:runner-lease', 'until', 1);
  } finally {
    redis.disconnect();
  }
}

function hasTerm({ logs }: Child): boolean {
  return logs.some(({ msg }) => msg === 'runs the batches');
}

/** Of its metrics with one label: by name without `qarr_`, and by the label's value. */
async function figures({ started }: Child): Promise<Record<string, Record<string, number>>> {
  const text = await (
    await fetch(`http://127.0.0.1:${String(started['ops_port'])}/metrics`)
  ).text();
  const found: Record<string, Record<string, number>> = {};
  for (const [, name = '', label = '', value] of text.matchAll(
    /^qarr_(\w+)\{\w+="(\w+)"\} (\S+)$/gm,
  )) {
    found[name] = { ...found[name], [label]: Number(value) };
  }
  return found;
}
