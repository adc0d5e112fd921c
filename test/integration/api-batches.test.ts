/** `/v1/batches` on the wire: a real API and Redis; what a runner would do is done by the test. */
import { randomBytes, randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { createFolderStore } from '@qarr/file-store';
import { createProducerStore } from '@qarr/job-store';
import type { ProducerStore } from '@qarr/job-store';
import type { Segment } from '@qarr/router-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KEY_SECRET, openKeys } from '../harness/api-keys.ts';
import type { TestKey, TestKeys } from '../harness/api-keys.ts';
import { postJson, startApiWorld } from '../harness/api.ts';
import type { ApiWorld } from '../harness/api.ts';
import { waitUntil } from '../harness/wait-until.ts';

const OPEN_MAX = 12;
const ENDPOINT = '/v1/chat/completions';
const NO_BATCH = { code: 'batch_not_found', message: 'There is no such batch.' };

let world: ApiWorld;
let keys: TestKeys;
let store: ProducerStore;
let acme: TestKey;
let epoch: number;

beforeAll(async () => {
  world = await startApiWorld({
    QARR_KEY_SECRETS: KEY_SECRET,
    QARR_BATCHES_OPEN_MAX: String(OPEN_MAX),
    QARR_WEBHOOK_SECRETS: `whsec_${randomBytes(32).toString('base64')}`,
    QARR_WEBHOOK_ALLOW_PRIVATE: 'true',
  });
  keys = await openKeys(world.redisServer.url);
  acme = await keys.make({ owner: 'acme', scopes: ['batch'], tokensPerDay: 5_000 });
  store = await createProducerStore({
    redisUrl: world.redisServer.url,
    tiers: ['fast', 'balanced', 'precise'],
    replicaId: randomUUID(),
    onError: () => {},
  });
  epoch = (await store.batchRuns.lease('test'))?.epoch ?? 0;
});
afterAll(async () => {
  await store.stop();
  await keys.stop();
  await world.stop();
});

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown> & { id: string; error: Record<string, unknown> };
}

async function call(
  path: string,
  { key = acme, body, headers = {} }: CallOptions = {},
): Promise<Answer> {
  const url = `${world.api.url}/v1${path}`;
  const response = await (body === undefined
    ? fetch(url, { headers: { ...key.headers, ...headers } })
    : postJson(url, body, {
        headers: { 'content-type': 'application/json', ...key.headers, ...headers },
      }));
  const answer = JSON.parse(await response.text()) as Answer['body'];
  return { status: response.status, headers: response.headers, body: answer };
}
interface CallOptions {
  key?: TestKey;
  body?: object | string;
  headers?: Record<string, string>;
}

const create = (fields: object = {}, options: Omit<CallOptions, 'body'> = {}) =>
  call('/batches', {
    ...options,
    body: { endpoint: ENDPOINT, completion_window: '24h', ...fields },
  });

/** A key of an owner of its own, whose batches and files nobody else counts. */
const stranger = () => keys.make({ owner: `owner-${randomUUID().slice(0, 8)}`, scopes: ['batch'] });

/** A file's record; nobody reads its content here. */
async function file(fields: { owner?: string; purpose?: 'batch' | 'user_data' } = {}) {
  const id = `file-${randomUUID().replaceAll('-', '')}`;
  const known = { filename: 'in.jsonl', bytes: 2, sha256: '0'.repeat(64), keptMs: 3_600_000 };
  await store.files.create({ id, owner: 'acme', purpose: 'batch', ...known, ...fields }, null);
  return id;
}

const NO_USAGE = { promptTokens: 0, cachedTokens: 0, completionTokens: 0, reasoningTokens: 0 };
const segment = (name: string): Segment => ({
  name,
  outputLines: 1,
  outputBytes: 10,
  errorLines: 1,
  errorBytes: 10,
});

/** A batch of two lines, in each of its states. */
const STATES = {
  validating: async () => {},
  failed: (id) =>
    store.batchRuns.validated(id, epoch, {
      errors: [{ code: 'invalid_json_line', message: 'No JSON.', param: null, line: 3 }],
    }),
  in_progress: (id) => store.batchRuns.validated(id, epoch, { total: 2, model: 'auto' }),
  finalizing: async (id) => {
    await STATES.in_progress(id);
    await store.batchRuns.commit(id, epoch, {
      segment: segment(`batches/${id}/1-1`),
      lines: [0, 1],
      usage: { promptTokens: 7, cachedTokens: 2, completionTokens: 5, reasoningTokens: 1 },
    });
    await store.batchRuns.finalizing(id, epoch);
  },
  completed: async (id) => {
    await STATES.finalizing(id);
    await store.batchRuns.finish(id, epoch, { outputFileId: 'file-out', errorFileId: 'file-err' });
  },
  expired: async (id) => {
    await STATES.in_progress(id);
    await store.batchRuns.expire(id, epoch);
    await STATES.end(id);
  },
  cancelling: async (id) => {
    await STATES.in_progress(id);
    await store.batches.cancel(id);
  },
  cancelled: async (id) => {
    await STATES.cancelling(id);
    await STATES.end(id);
  },
  end: async (id) => {
    await store.batchRuns.commit(id, epoch, {
      segment: { ...segment(`batches/${id}/1-1`), outputLines: 0, errorLines: 2, outputBytes: 0 },
      lines: [0, 1],
      usage: NO_USAGE,
    });
    await store.batchRuns.finalizing(id, epoch);
    await store.batchRuns.finish(id, epoch, { outputFileId: null, errorFileId: 'file-err' });
  },
} satisfies Record<string, (id: string) => Promise<unknown>>;
type State = Exclude<keyof typeof STATES, 'end'>;

async function bring(state: State, key: TestKey, owner: string): Promise<string> {
  const { body } = await create({ input_file_id: await file({ owner }) }, { key });
  await store.batchRuns.open(body.id, epoch);
  await STATES[state](body.id);
  return body.id;
}

describe('a batch', () => {
  it('is made of a file, and has every field of OpenAI', async () => {
    const fileId = await file();
    const { status, body } = await create({ input_file_id: fileId, metadata: { night: '1' } });
    expect(status).toBe(200);
    const createdAt = Number(body['created_at']);
    expect(Math.abs(createdAt - Date.now() / 1_000)).toBeLessThan(60);
    expect(body).toEqual({
      id: expect.stringMatching(/^batch_[\da-f]{32}$/),
      object: 'batch',
      endpoint: ENDPOINT,
      model: null,
      errors: null,
      input_file_id: fileId,
      completion_window: '24h',
      status: 'validating',
      output_file_id: null,
      error_file_id: null,
      created_at: createdAt,
      in_progress_at: null,
      expires_at: createdAt + 86_400,
      finalizing_at: null,
      completed_at: null,
      failed_at: null,
      expired_at: null,
      cancelling_at: null,
      cancelled_at: null,
      request_counts: { total: 0, completed: 0, failed: 0 },
      usage: null,
      metadata: { night: '1' },
    });
    expect((await call(`/batches/${body.id}`)).body).toEqual(body);
  });

  it('keeps what its runner needs to know', async () => {
    const { body } = await create({
      input_file_id: await file(),
      completion_window: '90m',
      output_expires_after: { anchor: 'created_at', seconds: 7_200 },
      webhook_url: 'http://127.0.0.1:9/hook',
    });
    expect(await store.batches.get(body.id)).toMatchObject({
      owner: 'acme',
      windowMs: 5_400_000,
      outputKeptMs: 7_200_000,
      webhookUrl: 'http://127.0.0.1:9/hook',
      quota: { keyId: acme.id, tokensPerDay: 5_000 },
    });
    expect(body).toMatchObject({ completion_window: '90m', metadata: null });
  });

  it('is made of requests, which become its input file', async () => {
    const key = await stranger();
    const { status, body } = await create(
      {
        requests: [
          { custom_id: 'a', body: { prompt: 'Hello\nyou' } },
          { custom_id: 'b', method: 'POST', url: ENDPOINT, body: {} },
        ],
      },
      { key },
    );
    expect(status).toBe(200);
    const id = String(body['input_file_id']);
    const response = await fetch(`${world.api.url}/v1/files/${id}/content`, key);
    const content = await response.text();
    const lines = content.trimEnd().split('\n');
    const shared = { method: 'POST', url: ENDPOINT };
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
      { custom_id: 'a', ...shared, body: { prompt: 'Hello\nyou' } },
      { custom_id: 'b', ...shared, body: {} },
    ]);
    const stored = await call(`/files/${id}`, { key });
    expect(stored.body).toMatchObject({
      purpose: 'batch',
      filename: 'requests.jsonl',
      bytes: Buffer.byteLength(content),
    });
  });
});

describe('what can be known at once', () => {
  it.each([
    [{ input_file_id: 'file-none' }, 404, 'file_not_found', 'input_file_id'],
    [{ input_file_id: 'x'.repeat(200) }, 404, 'file_not_found', 'input_file_id'],
    [{}, 400, 'invalid_request', 'input_file_id'],
    [
      { input_file_id: 'file-none', endpoint: '/v1/embeddings' },
      400,
      'invalid_request',
      'endpoint',
    ],
    [{ completion_window: '9m', requests: one() }, 400, 'invalid_request', 'completion_window'],
    [{ completion_window: '169h', requests: one() }, 400, 'invalid_request', 'completion_window'],
    [{ completion_window: 'soon', requests: one() }, 400, 'invalid_request', 'completion_window'],
    [{ metadata: { a: 'x'.repeat(513) }, requests: one() }, 400, 'invalid_request', 'metadata.a'],
    [{ requests: one(), input_file_id: 'file-none' }, 400, 'invalid_request', 'requests'],
    [{ requests: one(), window: '24h' }, 400, 'unknown_parameter', 'window'],
    [{ requests: one(), webhook_url: 'ftp://host' }, 400, 'invalid_request', 'webhook_url'],
  ])('is refused: %j', async (fields, status, code, param) => {
    const refused = await create(fields);
    expect(refused).toMatchObject({ status, body: { error: { code, param } } });
  });

  it('is a file of another purpose, or of somebody else', async () => {
    const other = await create({ input_file_id: await file({ purpose: 'user_data' }) });
    expect(other).toMatchObject({ status: 400, body: { error: { param: 'input_file_id' } } });
    const foreign = await create({ input_file_id: await file({ owner: 'somebody-else' }) });
    const none = await create({ input_file_id: 'file-none' });
    expect([foreign.status, foreign.body]).toEqual([404, none.body]);
  });

  it('is that an owner has too many that are not over; nothing is left of what is refused', async () => {
    const key = await stranger();
    const requests = one();
    const made = await Promise.all(
      Array.from({ length: OPEN_MAX }, () => create({ requests }, { key })),
    );
    expect(made.map(({ status }) => status)).toEqual(made.map(() => 200));
    const refused = await create({ requests }, { key });
    expect(refused).toMatchObject({
      status: 429,
      body: { error: { code: 'rate_limit_exceeded' } },
    });
    expect(Number(refused.headers.get('retry-after-ms'))).toBeGreaterThan(1_000);
    const files = await call('/files', { key });
    expect(files.body['data']).toHaveLength(OPEN_MAX);
    // One that is over makes room.
    const [first] = made;
    await store.batchRuns.open(first?.body.id ?? '', epoch);
    await STATES.failed(first?.body.id ?? '');
    expect((await create({ requests }, { key })).status).toBe(200);
  });
});

function one() {
  return [{ custom_id: 'a', body: {} }];
}

describe('an Idempotency-Key', () => {
  it('stands for one batch and one file, also where all come at once', async () => {
    const key = await stranger();
    const options = { key, headers: { 'idempotency-key': 'once' } };
    const answers = await Promise.all(
      Array.from({ length: 5 }, () => create({ requests: one() }, options)),
    );
    expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1);
    const replayed = answers.filter(({ headers }) => headers.has('idempotent-replayed'));
    expect(replayed).toHaveLength(4);
    expect((await call('/files', { key })).body['data']).toHaveLength(1);
    expect((await call('/batches', { key })).body['data']).toHaveLength(1);
  });

  it('stands for no other request, and leaves the file of the first as it is', async () => {
    const key = await stranger();
    const options = { key, headers: { 'idempotency-key': 'once' } };
    const { body } = await create({ requests: one() }, options);
    const other = await create({ requests: [{ custom_id: 'other', body: {} }] }, options);
    expect(other).toMatchObject({
      status: 422,
      body: { error: { code: 'idempotency_key_reused' } },
    });
    const files = (await call('/files', { key })).body['data'];
    expect(files).toMatchObject([{ id: body['input_file_id'] }]);
    const content = await fetch(
      `${world.api.url}/v1/files/${String(body['input_file_id'])}/content`,
      key,
    );
    expect(await content.text()).toContain('"custom_id":"a"');
  });

  it('stands for one request, also where two come at once, and its file is that of the batch', async () => {
    const key = await stranger();
    for (let round = 0; round < 4; round += 1) {
      const options = { key, headers: { 'idempotency-key': `two-${round}` } };
      const asked = (name: string) =>
        create({ requests: [{ custom_id: name, body: {} }] }, options);
      const answers = await Promise.all([asked('one'), asked('two')]);
      const made = answers.findIndex(({ status }) => status === 200);
      expect(answers[1 - made]?.status).toBe(422);
      const fileId = String(answers[made]?.body['input_file_id']);
      const content = await fetch(`${world.api.url}/v1/files/${fileId}/content`, key);
      expect(await content.text()).toContain(`"custom_id":"${['one', 'two'][made]}"`);
    }
    expect((await call('/files', { key })).body['data']).toHaveLength(4);
  });

  it('is another one for another owner, and is known when its file is gone', async () => {
    const headers = { 'idempotency-key': 'shared' };
    const [fileId, key] = [await file(), await stranger()];
    const mine = await create({ input_file_id: fileId }, { headers });
    const theirs = await create({ requests: one() }, { key, headers });
    expect(theirs.body.id).not.toBe(mine.body.id);
    await store.files.remove(fileId);
    const again = await create({ input_file_id: fileId }, { headers });
    expect(again).toMatchObject({ status: 200, body: { id: mine.body.id } });
  });
});

it('says what is safe to do where nobody knows whether a batch was made', async () => {
  const owner = 'left-in-the-dark';
  const key = await keys.make({ owner, scopes: ['batch'] });
  const fields = { input_file_id: await file({ owner }) };
  const options = { key, headers: { 'idempotency-key': 'unknown' } };
  // While writes wait, so does whatever the API asks Redis after one: the first to come is told most.
  async function whileWritesWait(headers = {}): Promise<Answer> {
    // From then on the key is known without a look at Redis.
    await call('/batches', { key });
    await world.redis.client('PAUSE', 30_000, 'WRITE');
    const answer = await create(fields, { key, headers });
    await world.redis.client('UNPAUSE');
    expect([answer.status, answer.body.error]).toMatchObject([503, { code: 'queue_unavailable' }]);
    return answer;
  }
  const without = await waitUntil('its write is the first', async () => {
    const answer = await whileWritesWait();
    return String(answer.body.error['message']).includes('created') ? answer : null;
  });
  expect(without.body.error['message']).toContain('an Idempotency-Key prevents');
  expect(without.headers.get('x-should-retry')).toBe('false');
  const withKey = await whileWritesWait(options.headers);
  expect(withKey.body.error['message']).toContain('the same Idempotency-Key');
  expect(withKey.headers.get('x-should-retry')).toBeNull();

  const again = await create(fields, options);
  expect(again.status).toBe(200);
  const batches = (await call('/batches', { key })).body['data'] as { id: string }[];
  expect(batches.filter(({ id }) => id === again.body.id)).toHaveLength(1);
});

describe('each state', () => {
  const SEEN: Record<State, object> = {
    validating: { usage: null },
    failed: {
      failed_at: expect.any(Number),
      errors: {
        object: 'list',
        data: [{ code: 'invalid_json_line', message: 'No JSON.', param: null, line: 3 }],
      },
    },
    in_progress: {
      in_progress_at: expect.any(Number),
      model: 'auto',
      request_counts: { total: 2, completed: 0, failed: 0 },
      usage: { input_tokens: 0, total_tokens: 0 },
    },
    finalizing: {
      finalizing_at: expect.any(Number),
      request_counts: { total: 2, completed: 1, failed: 1 },
      usage: {
        input_tokens: 7,
        input_tokens_details: { cached_tokens: 2 },
        output_tokens: 5,
        output_tokens_details: { reasoning_tokens: 1 },
        total_tokens: 12,
      },
    },
    completed: {
      completed_at: expect.any(Number),
      output_file_id: 'file-out',
      error_file_id: 'file-err',
    },
    expired: {
      expired_at: expect.any(Number),
      output_file_id: null,
      error_file_id: 'file-err',
      request_counts: { total: 2, completed: 0, failed: 2 },
    },
    cancelling: { cancelling_at: expect.any(Number), cancelled_at: null },
    cancelled: { cancelling_at: expect.any(Number), cancelled_at: expect.any(Number) },
  };

  it.each(Object.keys(SEEN) as State[])(
    'is seen, and may be cancelled or not: %s',
    async (state) => {
      const owner = `owner-${state.replace('_', '-')}`;
      const key = await keys.make({ owner, scopes: ['batch'] });
      const id = await bring(state, key, owner);
      const { body } = await call(`/batches/${id}`, { key });
      expect(body).toMatchObject({ id, status: state, ...SEEN[state] });

      // As OpenAI's client for Python sends it: a content type, and nothing of it.
      const cancelled = await call(`/batches/${id}/cancel`, { key, body: '' });
      if (['completed', 'failed', 'expired'].includes(state)) {
        expect(cancelled).toMatchObject({ status: 400, body: { error: { code: 'batch_over' } } });
        expect((await call(`/batches/${id}`, { key })).body).toEqual(body);
        return;
      }
      const status = state === 'cancelled' ? 'cancelled' : 'cancelling';
      expect(cancelled).toMatchObject({ status: 200, body: { id, status } });
      expect(cancelled.body['cancelling_at']).toEqual(expect.any(Number));
    },
  );
});

describe('the list', () => {
  it('has pages, newest first, and nobody else in it', async () => {
    const key = await stranger();
    const ids: string[] = [];
    for (let count = 0; count < 5; count += 1) {
      ids.unshift((await create({ requests: one() }, { key })).body.id);
    }
    const whole = (await call('/batches', { key })).body;
    expect(whole).toMatchObject({
      object: 'list',
      first_id: ids[0],
      last_id: ids[4],
      has_more: false,
    });
    expect((whole['data'] as { id: string }[]).map(({ id }) => id)).toEqual(ids);
    const first = (await call('/batches?limit=2', { key })).body;
    expect(first).toMatchObject({ first_id: ids[0], last_id: ids[1], has_more: true });
    const last = (await call(`/batches?limit=3&after=${ids[1]}`, { key })).body;
    expect(last).toMatchObject({ first_id: ids[2], last_id: ids[4], has_more: false });
    const none = (await call(`/batches?after=${ids[4]}`, { key })).body;
    expect(none).toEqual({
      object: 'list',
      data: [],
      first_id: null,
      last_id: null,
      has_more: false,
    });

    const foreign = await call(`/batches?after=${ids[0]}`);
    const unknown = await call('/batches?after=batch_none');
    expect([foreign.status, foreign.body]).toEqual([400, unknown.body]);
    expect(unknown.body.error).toMatchObject({ code: 'invalid_cursor', param: 'after' });
    expect((await call('/batches?limit=101')).status).toBe(400);
  });
});

const outcome = (name: string, wide = 1) =>
  `${JSON.stringify({ custom_id: name, response: { body: 'x'.repeat(wide) } })}\n`;

/** Commits as a runner does; the first lines are completed ones, the others failed. */
async function commit(id: string, number: number, [output, error]: [string[], string[]]) {
  const name = `batches/${id}/${epoch}-${number}`;
  const [outputText, errorText] = [output.join(''), error.join('')];
  const folder = createFolderStore({ folder: world.filesFolder });
  const content = Readable.from([Buffer.from(outputText + errorText)]);
  await folder.write(name, content, { bytesMax: 1e8 });
  const written = await store.batchRuns.commit(id, epoch, {
    segment: {
      name,
      outputLines: output.length,
      outputBytes: Buffer.byteLength(outputText),
      errorLines: error.length,
      errorBytes: Buffer.byteLength(errorText),
    },
    lines: [...output, ...error].map((_line, index) => number * 100 + index),
    usage: NO_USAGE,
  });
  expect(written).toBe('ok');
}

const idsIn = ({ body }: Answer) =>
  (body['data'] as { custom_id: string }[]).map(({ custom_id: id }) => id);

describe('the results', () => {
  it('are read on, page by page, while there are more to come', async () => {
    const key = await stranger();
    const { body } = await create({ requests: one() }, { key });
    const path = `/batches/${body.id}/results`;
    await store.batchRuns.open(body.id, epoch);
    const none = await call(path, { key });
    expect(none.body).toEqual({
      object: 'list',
      status: 'validating',
      has_more: false,
      next_cursor: '0',
      data: [],
    });
    await store.batchRuns.validated(body.id, epoch, { total: 500, model: null });
    await commit(body.id, 0, [[outcome('a'), outcome('b')], [outcome('wrong')]]);
    const first = await call(`${path}?limit=2`, { key });
    expect(first.body).toMatchObject({ status: 'in_progress', has_more: true, next_cursor: '2' });
    expect(idsIn(first)).toEqual(['a', 'b']);
    const rest = await call(`${path}?after=2`, { key });
    expect(rest.body).toMatchObject({ has_more: false, next_cursor: '3' });
    expect(idsIn(rest)).toEqual(['wrong']);
    const later = await call(`${path}?after=3`, { key });
    expect(later.body).toMatchObject({ has_more: false, next_cursor: '3', data: [] });
    await commit(body.id, 1, [[outcome('ü')], []]);
    expect(idsIn(await call(`${path}?after=3`, { key }))).toEqual(['ü']);

    for (const query of [
      'after=-1',
      'after=a',
      'limit=0',
      'limit=1001',
      'after=1&after=2',
      'x=1',
    ]) {
      expect([query, (await call(`${path}?${query}`, { key })).status]).toEqual([query, 400]);
    }
  });

  it('come in pages of a few megabytes, where they are large', async () => {
    const { body } = await create({ input_file_id: await file() });
    await store.batchRuns.open(body.id, epoch);
    await store.batchRuns.validated(body.id, epoch, { total: 500, model: null });
    const large = ['a', 'b', 'c'].map((name) => outcome(name, 3_000_000));
    await commit(body.id, 0, [large, []]);
    const page = await call(`/batches/${body.id}/results`);
    expect(idsIn(page)).toEqual(['a']);
    expect(page.body).toMatchObject({ has_more: true, next_cursor: '1' });
  });
});

it('is unknown to others, on every route', async () => {
  const { body } = await create({ input_file_id: await file() });
  const key = await stranger();
  for (const [path, method] of [
    ['', 'GET'],
    ['/results', 'GET'],
    ['/cancel', 'POST'],
  ]) {
    const options = { key, ...(method === 'POST' ? { body: '' } : {}) };
    const answer = await call(`/batches/${body.id}${path}`, options);
    expect([path, answer.status, answer.body.error]).toEqual([
      path,
      404,
      expect.objectContaining(NO_BATCH),
    ]);
  }
  expect((await call(`/batches/${body.id}`)).body).toMatchObject({ status: 'validating' });
});
