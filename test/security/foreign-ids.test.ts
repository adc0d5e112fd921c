/**
 * OWASP API1, broken object level authorisation: to its reader, a job of somebody else is as unknown
 * as one that never was, on every route that takes an id, and in every state of the job.
 */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exchange } from '../fuzz/exchange.ts';
import type { Answer } from '../fuzz/exchange.ts';
import { operationsOf } from '../fuzz/operations.ts';
import type { OpenApi, Operation } from '../fuzz/operations.ts';
import { KEY_SECRET, openKeys } from '../harness/api-keys.ts';
import type { TestKey, TestKeys } from '../harness/api-keys.ts';
import { postJson, startApiWorld } from '../harness/api.ts';
import type { ApiWorld, TestWorker } from '../harness/api.ts';
import { waitUntil } from '../harness/wait-until.ts';

const STATES = ['queued', 'running', 'completed'] as const;
/** By any of its names: a response is a job. No id of a job is one of a file. */
const FORMS = ['job_', 'resp_', 'chatcmpl-', 'file-', ''];
const WAIT_MS = 20_000;
/** What differs from answer to answer. */
const OWN_HEADERS = new Set(['date', 'x-request-id']);

let world: ApiWorld;
let worker: TestWorker;
let keys: TestKeys;
let reader: TestKey;
let somebodyElse: TestKey;
let operations: Operation[];
/** One that is somebody else's, and one that is the reader's own, in each state. */
const foreign = new Map<string, string>();
const own = new Map<string, string>();

beforeAll(async () => {
  world = await startApiWorld({ QARR_HEARTBEAT_MS: '100', QARR_KEY_SECRETS: KEY_SECRET });
  keys = await openKeys(world.redisServer.url);
  reader = await keys.make({ owner: 'reader' });
  somebodyElse = await keys.make({ owner: 'somebody-else' });
  worker = await world.startWorker('fast');
  for (const state of STATES) {
    own.set(state, await bring(state, reader));
    foreign.set(state, await bring(state, somebodyElse));
  }
  const document = (await (await fetch(`${world.api.url}/openapi.json`)).json()) as OpenApi;
  operations = operationsOf(document).filter(({ path }) => path.includes('{'));
});
afterAll(async () => {
  await keys.stop();
  await world.stop();
});

/** A response, which is a job, so that each route could know it. */
async function bring(state: (typeof STATES)[number], { headers }: TestKey): Promise<string> {
  // Nobody pulls what is sent there.
  const model = state === 'queued' ? 'precise' : 'fast';
  const body = { model, input: 'Hello', background: true };
  const response = await postJson(`${world.api.url}/v1/responses`, body, {
    headers: { 'content-type': 'application/json', ...headers },
  });
  const { id: responseId } = (await response.json()) as { id: string };
  const id = responseId.replace('resp_', 'job_');
  if (state === 'queued') return id;
  const attempt = await worker.next(id);
  await attempt.say('secret');
  if (state === 'completed') await attempt.complete();
  return id;
}

type Seen = Pick<Answer, 'status' | 'body'> & { readonly headers: readonly [string, string][] };

/** What a reader sees who may not know of which id it is. */
async function seen({ method, path, body }: Operation, id: string): Promise<Seen> {
  const request = {
    method,
    target: path.replaceAll(/\{\w+\}/g, id),
    headers: [
      `authorization: ${reader.headers.authorization}`,
      ...(body === null ? [] : ['content-type: application/json']),
    ],
    body: body === null ? null : '{}',
    raw: null,
  };
  const {
    status,
    headers,
    body: text,
  }: Answer = await exchange(request, {
    port: world.api.port,
    waitMs: WAIT_MS,
  });
  const kept = [...headers].filter(([name]) => !OWN_HEADERS.has(name));
  return { status, headers: kept, body: text.replaceAll(id, 'ID') };
}

describe.each(STATES)('a job of somebody else that is %s', (state) => {
  it.each(FORMS)('is answered as one that never was, on every route, as %sx', async (form) => {
    const digits = foreign.get(state)?.slice('job_'.length) ?? '';
    const before = await world.redis.hgetall(`qarr:{job_${digits}}:job`);
    for (const operation of operations) {
      const unknown = `${form}${randomBytes(digits.length / 2).toString('hex')}`;
      const answer = await seen(operation, `${form}${digits}`);
      expect({ operation: operation.name, ...answer }).toEqual({
        operation: operation.name,
        ...(await seen(operation, unknown)),
      });
      expect(answer).toMatchObject({ status: 404 });
    }
    // Nor has it been changed, cancelled or deleted.
    expect(await world.redis.hgetall(`qarr:{job_${digits}}:job`)).toEqual(before);
  });

  it('is in no list', async () => {
    const text = await (await asReader('/v1/jobs?limit=100')).text();
    expect(text).toContain(own.get(state));
    expect(text).not.toContain(foreign.get(state));
  });
});

describe('a batch of somebody else', () => {
  it('is answered as one that never was, on every route, and is in no list', async () => {
    const body = {
      endpoint: '/v1/chat/completions',
      requests: [{ custom_id: 'secret', body: { prompt: 'secret' } }],
    };
    const init = { headers: { 'content-type': 'application/json', ...somebodyElse.headers } };
    const response = await postJson(`${world.api.url}/v1/batches`, body, init);
    const batch = (await response.json()) as { id: string };
    const routes = operations.filter(({ path }) => path.startsWith('/v1/batches/'));
    for (const operation of routes) {
      const unknown = `batch_${randomBytes(16).toString('hex')}`;
      const answer = await seen(operation, batch.id);
      expect([operation.name, answer]).toEqual([operation.name, await seen(operation, unknown)]);
      expect(answer).toMatchObject({ status: 404 });
    }
    expect(routes.map(({ name }) => name)).toContain('POST /v1/batches/{id}/cancel');
    expect(await (await asReader('/v1/batches')).json()).toMatchObject({ data: [] });
    const found = await fetch(`${world.api.url}/v1/batches/${batch.id}`, init);
    expect(await found.json()).toMatchObject({ id: batch.id, status: 'validating' });
  });
});

it('is told on each of these routes of its own, else nothing was tested', async () => {
  const routes = operations.filter(({ path }) => !path.startsWith('/v1/models/'));
  expect(routes.map(({ name }) => name)).toContain('DELETE /v1/jobs/{id}');
  for (const [prefix, form] of Object.entries({ '/v1/jobs/': 'job_', '/v1/responses/': 'resp_' })) {
    const job = await bring('completed', reader);
    await waitUntil('it is completed', async () =>
      (await (await asReader(`/v1/jobs/${job}`)).text()).includes('"completed"'),
    );
    const mine = routes.filter(({ path }) => path.startsWith(prefix)).toSorted(byDeletion);
    for (const operation of mine) {
      const { status } = await seen(operation, job.replace('job_', form));
      // What has ended cannot be cancelled.
      expect([operation.name, status]).toEqual([operation.name, expect.toBeOneOf([200, 400])]);
    }
  }
});

it('also of files, in the same way', async () => {
  const theirs = await upload(somebodyElse);
  const mine = await upload(reader);
  const routes = operations.filter(({ path }) => path.startsWith('/v1/files/'));
  expect(routes).toHaveLength(3);
  for (const operation of routes.toSorted(byDeletion)) {
    const unknown = await seen(operation, `file-${randomBytes(16).toString('hex')}`);
    expect(unknown.status).toBe(404);
    expect(await seen(operation, theirs)).toEqual(unknown);
    expect((await seen(operation, mine)).status).toBe(200);
  }
  const url = `${world.api.url}/v1/files/${theirs}`;
  expect((await fetch(url, { headers: somebodyElse.headers })).status).toBe(200);
});

async function upload({ headers }: TestKey): Promise<string> {
  const body = new FormData();
  body.set('purpose', 'user_data');
  body.set('file', new File(['secret'], 'secret.txt'));
  const response = await fetch(`${world.api.url}/v1/files`, { method: 'POST', headers, body });
  return ((await response.json()) as { id: string }).id;
}

function asReader(path: string): Promise<Response> {
  return fetch(world.api.url + path, { headers: reader.headers });
}

/** What deletes comes last. */
function byDeletion(one: Operation, other: Operation): number {
  return Number(one.method === 'DELETE') - Number(other.method === 'DELETE');
}
