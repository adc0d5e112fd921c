import { createProducerStore } from '@qarr/job-store';
import { lineJobId } from '@qarr/router-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { postJson, startApiWorld } from '../harness/api.ts';
import type { ApiWorld, TestWorker } from '../harness/api.ts';
import { feed, newBatch } from '../harness/batches.ts';
import { waitUntil } from '../harness/wait-until.ts';

const STATES = ['queued', 'running', 'completed', 'failed', 'cancelled', 'expired'] as const;

let world: ApiWorld;
let worker: TestWorker;
/** One job in each state, in this order of time, by their state. */
const ids = new Map<string, string>();

/** `fast` has a worker, `precise` has none: what is sent there waits. */
beforeAll(async () => {
  world = await startApiWorld();
  worker = await world.startWorker('fast');
  for (const state of STATES) ids.set(state, await bring(state));
  await waitUntil('all are listed', async () => (await list()).data.length === STATES.length);
});
afterAll(() => world.stop());

interface List {
  object: string;
  data: { id: string; status: string; [field: string]: unknown }[];
  has_more: boolean;
  next_cursor: string | null;
}

async function list(query = ''): Promise<List> {
  const response = await fetch(`${world.api.url}/v1/jobs${query}`);
  expect(response.status).toBe(200);
  return (await response.json()) as List;
}

async function submit(fields: Record<string, unknown> = {}): Promise<string> {
  const body = { prompt: 'secret prompt', metadata: { a: 'b' }, ...fields };
  const response = await postJson(`${world.api.url}/v1/jobs`, body);
  return ((await response.json()) as { id: string }).id;
}

/** A job that has come to this state. */
async function bring(state: (typeof STATES)[number]): Promise<string> {
  switch (state) {
    case 'queued':
      return submit({ tier: 'precise' });
    case 'expired': {
      const id = await submit({ tier: 'precise', queue_timeout_ms: 1 });
      await waitUntil('it is expired', async () => (await list('?status=expired')).data.length > 0);
      return id;
    }
    case 'cancelled': {
      const id = await submit({ tier: 'precise' });
      await fetch(`${world.api.url}/v1/jobs/${id}/cancel`, { method: 'POST' });
      return id;
    }
    case 'running':
    case 'completed':
    case 'failed': {
      const id = await submit();
      const attempt = await worker.next(id);
      await attempt.say('secret answer');
      if (state === 'completed') await attempt.complete();
      if (state === 'failed') await attempt.fail('upstream_error');
      return id;
    }
    default:
      return state satisfies never;
  }
}

describe('the list of jobs', () => {
  it('has all of them, newest first, without what they were asked and answered', async () => {
    const all = await list();
    expect(all.data.map(({ id }) => id)).toEqual([...ids.values()].toReversed());
    expect(all).toMatchObject({ object: 'list', has_more: false, next_cursor: null });
    expect(JSON.stringify(all)).not.toContain('secret');

    const completed = all.data.find(({ status }) => status === 'completed');
    const whole = await (await fetch(`${world.api.url}/v1/jobs/${completed?.id}`)).json();
    const onlyThere = { result: expect.any(Object), position: null, estimated_wait_ms: null };
    expect(whole).toEqual({ ...completed, ...onlyThere });
  });

  it.each(STATES)('has those that are %s', async (state) => {
    const { data, has_more } = await list(`?status=${state}`);
    expect(data).toMatchObject([{ id: ids.get(state), status: state }]);
    expect(has_more).toBe(false);
  });

  it('comes in pages, each job once, whatever is added, ends or is deleted between them', async () => {
    const seen: string[] = [];
    const [gone, added] = [await submit({ tier: 'balanced' }), [] as string[]];
    const old = await submit({ tier: 'balanced' });
    let page = await list('?limit=1');
    for (;;) {
      seen.push(...page.data.map(({ id }) => id));
      if (page.next_cursor === null) break;
      if (seen.length === 1) {
        // The job that the cursor names, one that is still to come, and a new one.
        await fetch(`${world.api.url}/v1/jobs/${old}/cancel`, { method: 'POST' });
        await fetch(`${world.api.url}/v1/jobs/${gone}`, { method: 'DELETE' });
        added.push(await submit({ tier: 'balanced' }));
      }
      page = await list(`?limit=1&after=${page.next_cursor}`);
    }
    expect(seen).toEqual([old, ...[...ids.values()].toReversed()]);
    for (const id of [old, ...added]) {
      await fetch(`${world.api.url}/v1/jobs/${id}`, { method: 'DELETE' });
    }
  });

  it('has those of one millisecond each once', async () => {
    const some = await Promise.all(Array.from({ length: 7 }, () => submit({ tier: 'balanced' })));
    for (const id of some) {
      await world.redis.hset(`qarr:{${id}}:job`, 'created_at', 5_000);
      await world.redis.zadd('qarr:jobs:anonymous:open', 5_000, id);
    }
    const seen: string[] = [];
    let cursor = '5001-x';
    for (let page = 0; page < 7; page += 1) {
      const { data, next_cursor } = await list(`?limit=1&after=${cursor}`);
      seen.push(...data.map(({ id }) => id));
      cursor = next_cursor ?? 'end';
    }
    expect(seen).toEqual(some.toSorted().toReversed());
    expect(cursor).toBe('end');
    for (const id of some) await fetch(`${world.api.url}/v1/jobs/${id}`, { method: 'DELETE' });
  });

  it('passes over records that have gone before their index entries, and over nothing else', async () => {
    const index = 'qarr:jobs:anonymous:completed';
    const newest = await bring('completed');
    const gone = ['job_gone_1', 'job_gone_2', 'job_gone_3'];
    for (const id of gone) await world.redis.zadd(index, Date.now() + 60_000, id);
    const seen: string[] = [];
    for (let cursor: string | null = ''; cursor !== null;) {
      const page: List = await list(`?limit=1${cursor === '' ? '' : `&after=${cursor}`}`);
      seen.push(...page.data.map(({ id }) => id));
      cursor = page.next_cursor;
    }
    expect(seen).toEqual([newest, ...[...ids.values()].toReversed()]);
    await world.redis.zrem(index, ...gone);
    await fetch(`${world.api.url}/v1/jobs/${newest}`, { method: 'DELETE' });
  });

  it('has the lines of a batch where that is asked for, and of no other', async () => {
    const store = await createProducerStore({
      redisUrl: world.redisServer.url,
      tiers: ['precise'],
      replicaId: 'batches',
      onError: () => {},
    });
    const [mine, other] = [newBatch({ owner: 'anonymous' }), newBatch({ owner: 'bob' })];
    for (const batch of [mine, other]) {
      await store.batches.create(batch, { openMax: 1 });
      for (const line of [0, 1]) await feed(store, batch, line, { tier: 'precise' });
    }
    const page = await list(`?batch=${mine.id}&limit=1`);
    expect(page.data).toMatchObject([{ batch: { id: mine.id, custom_id: 'line-1' } }]);
    const rest = await list(`?batch=${mine.id}&status=queued&after=${page.next_cursor}`);
    expect(rest.data).toMatchObject([{ batch: { custom_id: 'line-0' }, status: 'queued' }]);
    expect(rest.next_cursor).toBeNull();
    expect((await list(`?batch=${mine.id}&status=running`)).data).toEqual([]);
    expect((await list()).data.map(({ id }) => id)).toEqual([...ids.values()].toReversed());
    for (const id of [other.id, 'batch_none', 'x'.repeat(65)]) {
      const response = await fetch(`${world.api.url}/v1/jobs?batch=${id}`);
      expect(response.status).toBe(404);
      expect(await response.json()).toMatchObject({ error: { code: 'batch_not_found' } });
    }
    for (const batch of [mine, other]) {
      for (const line of [0, 1]) await store.delete(lineJobId(batch.id, line));
    }
    await store.stop();
  });

  it.each([
    ['?status=done', 'status', /queued, running, completed, failed, cancelled, expired/],
    ['?status=queued&status=running', 'status', /must be one of/],
    ['?limit=0', 'limit', /from 1 to 100/],
    ['?limit=101', 'limit', /from 1 to 100/],
    ['?limit=x', 'limit', /from 1 to 100/],
    ['?limit=1&limit=2', 'limit', /once/],
    ['?after=job_1', 'after', /next_cursor/],
    ['?after=', 'after', /next_cursor/],
    ['?after=1-a&after=2-b', 'after', /once/],
    ['?state=queued', 'state', /no parameter/],
  ])('refuses %s', async (query, param, message) => {
    const response = await fetch(`${world.api.url}/v1/jobs${query}`);
    expect(response.status).toBe(400);
    const { error } = (await response.json()) as { error: { param: string; message: string } };
    expect(error.param).toBe(param);
    expect(error.message).toMatch(message);
  });
});
