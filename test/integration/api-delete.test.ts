import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openStream, postJson, startApiWorld } from '../harness/api.ts';
import type { ApiWorld, TestAttempt, TestWorker } from '../harness/api.ts';
import { tracesOf } from '../harness/redis-traces.ts';
import { waitUntil } from '../harness/wait-until.ts';

let world: ApiWorld;
let worker: TestWorker;

/** `fast` has a worker, `precise` has none: what is sent there waits. */
beforeAll(async () => {
  world = await startApiWorld();
  worker = await world.startWorker('fast');
});
afterAll(() => world.stop());

interface Job {
  id: string;
  canary: string;
  urls: { self: string; events: string; cancel: string };
}

/** Its canary is in all that a client may say. */
async function submit(tier: string): Promise<Job> {
  const canary = `canary-${randomUUID()}`;
  const response = await postJson(`${world.api.url}/v1/jobs`, {
    tier,
    system_prompt: canary,
    prompt: canary,
    stop: [canary],
    metadata: { of: canary },
  });
  expect(response.status).toBe(202);
  return { ...((await response.json()) as Job), canary };
}

function key(name: string): string {
  return `qarr:idem:anonymous:${name}`;
}

function remove(job: Pick<Job, 'urls'>, init: RequestInit = {}): Promise<Response> {
  return fetch(job.urls.self, { method: 'DELETE', ...init });
}

/** What names the job or says what it said. */
async function traces({ id, canary }: Job): Promise<string[]> {
  return [...(await tracesOf(world.redis, id)), ...(await tracesOf(world.redis, canary))];
}

async function expectDeleted(response: Response, job: Job): Promise<void> {
  expect(response.status).toBe(200);
  expect(await response.json()).toEqual({ id: job.id, object: 'job.deleted', deleted: true });
  expect(await traces(job)).toEqual([]);
  for (const url of [job.urls.self, job.urls.events]) expect((await fetch(url)).status).toBe(404);
  expect((await fetch(job.urls.cancel, { method: 'POST' })).status).toBe(404);
}

/** Jobs of each tier that were deleted before their end. */
async function endsByDeletion(): Promise<{ fast: number; precise: number }> {
  const page = await (await fetch(`${world.api.opsUrl}/metrics`)).text();
  const [fast = 0, precise = 0] = ['fast', 'precise'].map((tier) => {
    const series = `qarr_jobs_total{tier="${tier}",class="standard",outcome="deleted"} `;
    const line = page.split('\n').find((one) => one.startsWith(series));
    return Number(line?.slice(series.length) ?? 0);
  });
  return { fast, precise };
}

async function run(job: Job): Promise<TestAttempt> {
  const attempt = await worker.next(job.id);
  await attempt.say(job.canary);
  return attempt;
}

describe('deleting a job', () => {
  it('that waits leaves nothing of it, and it never runs', async () => {
    const job = await submit('precise');
    const found = await traces(job);
    // The search finds what there is.
    expect(found).toEqual(
      expect.arrayContaining([
        `name of qarr:{${job.id}}:job`,
        `in {qarr:precise}:prioritized`,
        `bytes of {qarr:precise}:events`,
        `in qarr:jobs:anonymous:open`,
        `bytes of qarr:{${job.id}}:job`,
      ]),
    );
    const stream = await openStream(job.urls.events);
    await stream.until('event: queued');
    await expectDeleted(await remove(job), job);
    expect(await stream.end()).toMatch(
      /id: 2\nevent: cancelled\ndata: {"type":"cancelled","ran":false.*\n\n$/,
    );

    const next = await submit('precise');
    const later = await world.startWorker('precise');
    const attempt = await later.next();
    expect(attempt.job.jobId).toBe(next.id);
    await attempt.complete();
    await later.stop();
  });

  it('that runs ends its streams and its worker, whose later words are refused', async () => {
    const job = await submit('fast');
    const attempt = await run(job);
    const streams = await Promise.all([openStream(job.urls.events), openStream(job.urls.events)]);
    for (const stream of streams) await stream.until('event: delta');
    const deleted = remove(job);
    await waitUntil('the worker is told', () => attempt.stopped !== null);
    await expect(attempt.giveUp(3)).rejects.toThrow('superseded');
    attempt.leave();
    await expectDeleted(await deleted, job);
    for (const stream of streams) {
      const text = await stream.end();
      expect(text.match(/event: (completed|failed|cancelled|expired)/g)).toEqual([
        'event: cancelled',
      ]);
      expect(text).toMatch(/id: 4\nevent: cancelled\ndata: {.*"ran":true.*}\n\n$/);
    }
  });

  it.each([
    ['completed', (attempt: TestAttempt) => attempt.complete()],
    ['failed', (attempt: TestAttempt) => attempt.fail('upstream_error')],
  ])('that has %s leaves nothing of it', async (status, end) => {
    const job = await submit('fast');
    await end(await run(job));
    await waitUntil('it is listed', async () =>
      world.redis.zscore(`qarr:jobs:anonymous:${status}`, job.id),
    );
    expect((await traces(job)).length).toBeGreaterThan(0);
    await expectDeleted(await remove(job), job);
  });

  it('is the end of one that had none, and is counted for that alone', async () => {
    const before = await endsByDeletion();
    const [waits, over] = [await submit('precise'), await submit('fast')];
    await (await run(over)).complete();
    for (const job of [waits, over]) await expectDeleted(await remove(job), job);
    const after = await endsByDeletion();
    expect({ precise: after.precise - before.precise, fast: after.fast - before.fast }).toEqual({
      precise: 1,
      fast: 0,
    });
  });

  it('frees its idempotency key, but not one that has another job by now', async () => {
    const [mine, others] = [await submit('precise'), await submit('precise')];
    for (const [job, name, holder] of [
      [mine, 'mine', mine],
      [others, 'others', mine],
    ] as const) {
      await world.redis.hset(`qarr:{${job.id}}:job`, 'idempotency_key', name);
      await world.redis.hset(key(name), 'job', holder.id);
    }
    await expect(remove(others)).resolves.toMatchObject({ status: 200 });
    expect(await world.redis.exists(key('others'))).toBe(1);
    await world.redis.del(key('others'));
    await expectDeleted(await remove(mine), mine);
    expect(await world.redis.exists(key('mine'))).toBe(0);
  });

  it('is harmless a second time, and says that there is no such job', async () => {
    const job = await submit('precise');
    const answers = await Promise.all([remove(job), remove(job), remove(job)]);
    const statuses = answers.map(({ status }) => status);
    expect(statuses.toSorted((one, other) => one - other)).toEqual([200, 404, 404]);
    const again = await remove(job, { headers: { 'content-type': 'application/json' } });
    expect(again.status).toBe(404);
    expect(await again.json()).toMatchObject({ error: { code: 'job_not_found' } });
    expect(await traces(job)).toEqual([]);
  });
});
