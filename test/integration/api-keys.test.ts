import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { SCOPES } from '@qarr/router-core';
import type { KeyGrant, Scope } from '@qarr/router-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCommand } from '../../apps/api/src/keys/commands.ts';
import { readToolConfig } from '../../apps/api/src/keys/config.ts';
import { KEY_CACHE_MS } from '../../apps/api/src/keys/authenticate.ts';
import { KEY_SECRET, openKeys } from '../harness/api-keys.ts';
import type { TestKey, TestKeys } from '../harness/api-keys.ts';
import { openStream, startApiWorld } from '../harness/api.ts';
import type { ApiProcess, ApiWorld, TestWorker } from '../harness/api.ts';
import { waitUntil } from '../harness/wait-until.ts';

const TOOL = fileURLToPath(new URL('../../apps/api/src/keys/main.ts', import.meta.url));
const OLD_SECRET = 'the-secret-before-it-which-is-longer-than-32-as-well';
const ORIGIN = 'https://app.example.com';
/** Every text of a key that was used here: none may be found anywhere. */
const texts: string[] = [];

let world: ApiWorld;
let other: ApiProcess;
let worker: TestWorker;
let keys: TestKeys;
let acme: TestKey;
let rival: TestKey;

beforeAll(async () => {
  world = await startApiWorld({
    QARR_KEY_SECRETS: `${KEY_SECRET},${OLD_SECRET}`,
    QARR_CORS_ORIGINS: ORIGIN,
    LOG_LEVEL: 'debug',
  });
  [other, worker, keys] = await Promise.all([
    world.startApi(),
    world.startWorker('fast'),
    openKeys(world.redisServer.url),
  ]);
  acme = await make();
  rival = await make({ owner: 'rival' });
});
afterAll(async () => {
  await keys.stop();
  await world.stop();
});

async function make(
  grant: Partial<KeyGrant> = {},
  options: { text?: string; secret?: string } = {},
) {
  const key = await keys.make(grant, options);
  texts.push(key.text);
  return key;
}

interface CallOptions {
  readonly key?: Pick<TestKey, 'headers'>;
  readonly method?: string;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
  readonly api?: ApiProcess;
}

async function call(
  path: string,
  { key, method = 'GET', body, headers, api = world.api }: CallOptions = {},
) {
  const response = await fetch(api.url + path, {
    method,
    headers: {
      ...key?.headers,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    body: (text.startsWith('{') ? JSON.parse(text) : {}) as Record<string, unknown>,
    text,
  };
}

const bearer = (text: string) => ({ headers: { authorization: `Bearer ${text}` } });

const statusOf = async (text: string) => (await call('/v1/models', bearer(text))).status;

const submit = (key: TestKey, options: Omit<CallOptions, 'key' | 'method'> = {}) =>
  call('/v1/jobs', { key, method: 'POST', body: { prompt: 'Hi', max_tokens: 10 }, ...options });

async function submitted(key: TestKey): Promise<string> {
  const { status, body } = await submit(key);
  expect(status).toBe(202);
  return String(body['id']);
}

describe('a request', () => {
  it('needs a key, which is asked for in words that name none', async () => {
    const { status, body, headers } = await call('/v1/models');
    expect(status).toBe(401);
    expect(headers.get('www-authenticate')).toBe('Bearer');
    expect(headers.get('x-request-id')).toMatch(/^req_/);
    expect(body).toEqual({
      error: {
        message: expect.stringContaining("You didn't provide an API key."),
        type: 'authentication_error',
        param: null,
        code: 'invalid_api_key',
      },
    });
  });

  it.each([
    ['one that nobody has made', `Bearer qarr-${'A'.repeat(43)}`],
    ['one in another form', 'Bearer sk-something'],
    ['one of another scheme', 'Basic cWFycjo='],
    ['nothing', 'Bearer'],
  ])('is refused with %s, which is not repeated', async (_name, authorization) => {
    const { status, body, text } = await call('/v1/models', { headers: { authorization } });
    expect(status).toBe(401);
    expect(body['error']).toMatchObject({ message: 'Incorrect API key provided.' });
    expect(text).not.toContain(authorization.split(' ')[1] ?? 'Bearer');
  });

  it('is answered with a key on every replica, whatever the case of its scheme', async () => {
    expect((await call('/v1/models', { key: acme })).status).toBe(200);
    const headers = { authorization: `bearer ${acme.text}` };
    expect((await call('/v1/models', { headers, api: other })).status).toBe(200);
  });

  it('needs none where a route is public, and finds no more where there is no route', async () => {
    for (const path of ['/healthz', '/readyz', '/openapi.json']) {
      expect((await call(path)).status).toBe(200);
    }
    expect((await call('/v1/nothing')).status).toBe(404);
  });

  it('is known by the whole key, not by how it begins', async () => {
    const begin = `qarr-${'k'.repeat(40)}`;
    const [one, two] = [`${begin}AAA`, `${begin}BBB`];
    const first = await make({ owner: 'first' }, { text: one });
    const second = await make({ owner: 'second' }, { text: two });
    const id = await submitted(first);
    expect((await call(`/v1/jobs/${id}`, { key: first })).status).toBe(200);
    expect((await call(`/v1/jobs/${id}`, { key: second })).status).toBe(404);
    const headers = { authorization: `Bearer ${begin}CCC` };
    expect((await call('/v1/models', { headers })).status).toBe(401);
  });

  it('is known also by a key that was stored under the secret before', async () => {
    const key = await make({}, { secret: OLD_SECRET });
    expect((await call('/v1/models', { key })).status).toBe(200);
  });
});

describe('a key', () => {
  it('is refused on every replica once it is revoked, within 5 s', async () => {
    // What a replica may still believe, and a look-up that began before.
    expect(KEY_CACHE_MS).toBeLessThanOrEqual(2_000);
    const key = await make();
    for (const api of [world.api, other]) {
      expect((await call('/v1/models', { key, api })).status).toBe(200);
    }
    await keys.revoke(key.id);
    for (const api of [world.api, other]) {
      await waitUntil('it is refused', async () => {
        return (await call('/v1/models', { key, api })).status === 401;
      });
    }
  });

  it('is made, listed, rotated and revoked by a tool that shows it once', async () => {
    const env = { REDIS_URL: world.redisServer.url, QARR_KEY_SECRETS: KEY_SECRET };
    /** As the process does it, which takes a while to start. */
    const run = async (...args: string[]) => {
      const lines: string[] = [];
      const deps = { readConfig: () => readToolConfig(env), remark: () => {} };
      await runCommand([...args, '--json'], { ...deps, say: (line) => void lines.push(line) });
      return JSON.parse(lines.join('\n'));
    };
    const limits = ['--rpm', '600', '--concurrency', '50', '--tokens-per-day', '9000'];
    const args = [TOOL, 'create', '--owner', 'tool', ...limits, '--json'];
    const { stdout } = await promisify(execFile)(process.execPath, args, { env });
    const made = JSON.parse(stdout);
    texts.push(made.key);
    expect(made).toMatchObject({
      id: expect.stringMatching(/^key_[0-9a-f]{24}$/),
      key: expect.stringMatching(/^qarr-[\w-]{43}$/),
      owner: 'tool',
      state: 'active',
      scopes: ['submit', 'read', 'cancel'],
      max_class: 'interactive',
      rpm: 600,
      concurrency: 50,
      tokens_per_day: 9_000,
      last_four: made.key.slice(-4),
    });
    expect(await statusOf(made.key)).toBe(200);

    const rotated = await run('rotate', made.id, '--overlap', '1h');
    texts.push(rotated.key);
    expect(rotated).toMatchObject({ id: made.id, owner: 'tool', last_four: rotated.key.slice(-4) });
    expect(await statusOf(rotated.key)).toBe(200);
    expect(await statusOf(made.key)).toBe(200);

    const again = await run('rotate', made.id);
    texts.push(again.key);
    expect(await statusOf(again.key)).toBe(200);
    for (const former of [made.key, rotated.key]) {
      await waitUntil('the former text is refused', async () => (await statusOf(former)) === 401);
    }

    await run('revoke', made.id);
    await waitUntil('it is revoked', async () => (await statusOf(again.key)) === 401);
    const listed = (await run('list')) as { id: string; state: string; key?: string }[];
    expect(listed.find(({ id }) => id === made.id)).toMatchObject({ state: 'revoked' });
    expect(JSON.stringify(listed)).not.toContain('qarr-');
    await expect(run('rotate', made.id)).rejects.toThrow('there is no usable key');
    await expect(run('revoke', 'key_none')).rejects.toThrow('there is no usable key "key_none"');
    // It is not repeated.
    await expect(run('revoke', again.key)).rejects.toThrow('that is a key: give its id');

    // As made by a tool that has another secret than the API.
    const foreign = await make({}, { secret: `another ${KEY_SECRET}` });
    const states = (await run('list')) as { id: string; state: string }[];
    expect(states.find(({ id }) => id === foreign.id)).toMatchObject({ state: 'other-secret' });
    expect(await statusOf(foreign.text)).toBe(401);
  });
});

describe('the routes', () => {
  /** As `config.access` says it; what is not in here fails. */
  const ACCESS: Record<string, Scope | 'any' | 'public'> = {
    'get /healthz': 'public',
    'get /readyz': 'public',
    'get /v1/models': 'any',
    'get /v1/models/{id}': 'any',
    'get /v1/tiers': 'read',
    'get /v1/jobs': 'read',
    'get /v1/jobs/{id}': 'read',
    'get /v1/jobs/{id}/events': 'read',
    'post /v1/jobs/{id}/token': 'read',
    'post /v1/jobs': 'submit',
    'post /v1/route': 'submit',
    'post /v1/chat/completions': 'submit',
    'post /v1/completions': 'submit',
    'post /v1/responses': 'submit',
    'get /v1/responses/{id}': 'read',
    'get /v1/responses/{id}/input_items': 'read',
    'post /v1/responses/{id}/cancel': 'cancel',
    'delete /v1/responses/{id}': 'cancel',
    'post /v1/jobs/{id}/cancel': 'cancel',
    'delete /v1/jobs/{id}': 'cancel',
    'get /v1/batches': 'batch',
    'post /v1/batches': 'batch',
    'get /v1/batches/{id}': 'batch',
    'get /v1/batches/{id}/results': 'batch',
    'post /v1/batches/{id}/cancel': 'batch',
    'post /v1/files': 'batch',
    'get /v1/files': 'batch',
    'get /v1/files/{id}': 'batch',
    'get /v1/files/{id}/content': 'batch',
    'delete /v1/files/{id}': 'batch',
  };

  it('each ask for the scope that they say, and take no other for it', async () => {
    const api = (await call('/openapi.json')).body as {
      paths: Record<string, Record<string, unknown>>;
    };
    const routes = Object.entries(api.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method} ${path}`),
    );
    // A new route says here which scope it asks for.
    expect(routes.toSorted()).toEqual(Object.keys(ACCESS).toSorted());
    const byScope = await Promise.all(SCOPES.map((scope) => make({ scopes: [scope] })));
    for (const route of routes) {
      const [method = '', path = ''] = route.split(' ');
      const access = ACCESS[route];
      for (const [at, scope] of SCOPES.entries()) {
        const { status, body } = await call(path.replace('{id}', 'job_none'), {
          key: byScope[at] ?? acme,
          method: method.toUpperCase(),
          // Refused as invalid, if it gets so far.
          ...(method === 'post' ? { body: { unknown: true } } : {}),
        });
        const isAllowed = access === 'any' || access === 'public' || access === scope;
        expect([route, scope, status === 403]).toEqual([route, scope, !isAllowed]);
        if (isAllowed) continue;
        expect(body['error']).toMatchObject({
          code: 'insufficient_scope',
          type: 'permission_error',
          message: expect.stringContaining(`scope ${access}`),
        });
      }
    }
  });

  it.each([
    { previous_response_id: 'resp_none', input: 'And now?' },
    { input: [{ type: 'item_reference', id: 'msg_none' }] },
  ])('let nobody have repeated what it may not read: %j', async (body) => {
    const key = await make({ scopes: ['submit'] });
    const refused = await call('/v1/responses', { key, method: 'POST', body });
    expect(refused.status).toBe(403);
    expect(refused.body['error']).toMatchObject({ message: expect.stringContaining('scope read') });
  });

  it('of operators are on an address of their own', async () => {
    // A network for documentation, which no machine has (RFC 5737).
    const elsewhere = world.startApi({ OPS_HOST: '192.0.2.1' });
    await expect(elsewhere).rejects.toThrow('OPS_PORT: cannot listen on 192.0.2.1:0');
  });

  it('answer for a foreign job as for an unknown one', async () => {
    const id = await submitted(acme);
    const routes = [
      ['GET', `/v1/jobs/ID`],
      ['GET', `/v1/jobs/ID/events`],
      ['POST', `/v1/jobs/ID/token`],
      ['POST', `/v1/jobs/ID/cancel`],
      ['DELETE', `/v1/jobs/ID`],
    ] as const;
    for (const [method, path] of routes) {
      const foreign = await call(path.replace('ID', id), { key: rival, method });
      const unknown = await call(path.replace('ID', 'job_none'), { key: rival, method });
      expect([foreign.status, foreign.text]).toEqual([404, unknown.text]);
    }
    const listed = await call('/v1/jobs', { key: rival });
    expect(listed.text).not.toContain(id);
    expect((await call(`/v1/jobs/${id}`, { key: acme })).body['status']).not.toBe('cancelled');
  });

  it('show workers and engines to operators only', async () => {
    const shown = await call('/v1/tiers', { key: acme });
    expect(shown.text).toContain('"slots"');
    for (const secret of ['"host"', '"pid"', '"upstream"', '127.0.0.1:1', 'upstreams']) {
      expect(shown.text).not.toContain(secret);
    }
    const operator = await make({ scopes: ['read', 'admin'] });
    expect((await call('/v1/tiers', { key: operator })).text).toContain('127.0.0.1:1');
  });
});

describe('the class of a job', () => {
  it('is lowered where its client has named none, and refused where it has', async () => {
    const key = await make({ maxClass: 'standard', scopes: ['submit', 'read'] });
    const stream = await openStream(`${world.api.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { ...key.headers, 'content-type': 'application/json' },
      body: JSON.stringify({ stream: true, messages: [{ role: 'user', content: 'Hi' }] }),
    });
    const id = stream.response.headers.get('x-qarr-job');
    expect((await call(`/v1/jobs/${id}`, { key })).body['class']).toBe('standard');
    stream.leave();

    const body = { prompt: 'Hi', class: 'interactive' };
    for (const path of ['/v1/jobs', '/v1/chat/completions']) {
      const refused = await call(path, { key, method: 'POST', body });
      expect([refused.status, refused.body['error']]).toEqual([
        403,
        expect.objectContaining({ code: 'class_not_allowed', param: 'class' }),
      ]);
    }
    const batch = await submit(key, { body: { prompt: 'Hi', class: 'batch' } });
    expect(batch.body['error']).toMatchObject({ code: 'insufficient_scope' });
    expect((await submit(acme, { body })).status).toBe(202);
  });
});

describe('the limits of a key', () => {
  it('let exactly as many requests pass in a minute as they say, over all replicas', async () => {
    const key = await make({ rpm: 12 });
    const answers = await Promise.all(
      Array.from({ length: 30 }, (_, at) =>
        submit(key, { body: { wrong: true }, api: at % 2 === 0 ? world.api : other }),
      ),
    );
    const refused = answers.filter(({ status }) => status === 429);
    // Also what is not valid was counted.
    expect(answers.filter(({ status }) => status === 400)).toHaveLength(12);
    expect(refused).toHaveLength(18);
    const { headers, body } = refused[0] ?? (await submit(key));
    expect(body['error']).toMatchObject({ code: 'rate_limit_exceeded', type: 'rate_limit_error' });
    expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
    expect(Number(headers.get('retry-after'))).toBeLessThanOrEqual(60);
    expect(Number(headers.get('retry-after-ms'))).toBeLessThanOrEqual(60_000);
    expect(headers.get('x-should-retry')).toBeNull();
    expect(headers.get('x-ratelimit-limit-requests')).toBe('12');
    expect(headers.get('x-ratelimit-remaining-requests')).toBe('0');
    expect(headers.get('x-ratelimit-reset-requests')).toMatch(/^(1m0s|\d+s|\d+ms)$/);
    // Whoever only reads is not in the way of that.
    expect((await call('/v1/models', { key })).status).toBe(200);
    expect((await submit(acme)).headers.get('x-ratelimit-limit-requests')).toBeNull();
  });

  it('let only so many jobs be open at once, over all replicas, until one ends', async () => {
    const key = await make({ owner: 'busy', concurrency: 3 });
    const answers = await Promise.all(
      Array.from({ length: 9 }, (_, at) => submit(key, { api: at % 2 === 0 ? world.api : other })),
    );
    const ids = answers.filter(({ status }) => status === 202).map(({ body }) => body['id']);
    expect(ids).toHaveLength(3);
    const refused = answers.find(({ status }) => status === 429);
    expect(refused?.body['error']).toMatchObject({
      code: 'rate_limit_exceeded',
      message: expect.stringContaining('3 open jobs'),
    });
    expect(refused?.headers.get('retry-after')).toBe('2');

    const [completed, cancelled, deleted] = ids.map(String);
    await (await worker.next(completed)).complete();
    const erased = await worker.next(deleted);
    void call(`/v1/jobs/${deleted}`, { key, method: 'DELETE' });
    await waitUntil('it is told', () => erased.stopped !== null);
    erased.leave();
    const running = await worker.next(cancelled);
    void call(`/v1/jobs/${cancelled}/cancel`, { key, method: 'POST' });
    await waitUntil('it is told', () => running.stopped !== null);
    await running.giveUp(1);
    const holds = `qarr:{${key.id}}:holds`;
    await waitUntil('all places are free', async () => (await world.redis.zcard(holds)) === 0);
    expect((await submit(key)).status).toBe(202);
  });

  it('give a request that is only attached to its job no second place', async () => {
    const key = await make({ owner: 'again', concurrency: 1, tokensPerDay: 1_000 });
    const headers = { 'idempotency-key': 'once' };
    const first = await submit(key, { headers });
    const again = await submit(key, { headers, api: other });
    expect([first.status, again.status]).toEqual([202, 202]);
    expect(again.body['id']).toBe(first.body['id']);
    expect(again.headers.get('x-ratelimit-remaining-tokens')).toBe(
      first.headers.get('x-ratelimit-remaining-tokens'),
    );
    expect((await submit(key)).status).toBe(429);
  });

  it('take the most that a request may use of the day, and give back what it has not', async () => {
    const key = await make({ owner: 'counted', tokensPerDay: 100 });
    const first = await submit(key, { body: { prompt: 'Hi', max_tokens: 60 } });
    const left = Number(first.headers.get('x-ratelimit-remaining-tokens'));
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThan(40);
    expect(first.headers.get('x-ratelimit-limit-tokens')).toBe('100');

    const refused = await submit(key, { body: { prompt: 'Hi', max_tokens: 60 }, api: other });
    expect(refused.status).toBe(429);
    expect(refused.body['error']).toMatchObject({
      code: 'insufficient_quota',
      type: 'rate_limit_error',
      message: expect.stringContaining('quota'),
    });
    // No client should wait for tomorrow.
    expect(refused.headers.get('x-should-retry')).toBe('false');
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(refused.headers.get('x-ratelimit-reset-tokens')).toMatch(/^(\d+h\d+m|\d+m)?\d+m?s$/);

    const never = await submit(key, { body: { prompt: 'Hi', max_tokens: 101 } });
    expect(never.body['error']).toMatchObject({
      code: 'insufficient_quota',
      message: expect.not.stringContaining('tomorrow'),
    });

    await (
      await worker.next(String(first.body['id']))
    ).complete({
      prompt_tokens: 3,
      completion_tokens: 4,
      total_tokens: 7,
    });
    await waitUntil('the rest is given back', async () => {
      const { headers } = await call('/v1/models', { key });
      return headers.get('x-ratelimit-remaining-tokens') === '93';
    });
  });

  it('stand on streams, too', async () => {
    const key = await make({ owner: 'stream', rpm: 10, tokensPerDay: 5_000 });
    const stream = await openStream(`${world.api.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { ...key.headers, 'content-type': 'application/json', origin: ORIGIN },
      body: JSON.stringify({ stream: true, messages: [{ role: 'user', content: 'Hi' }] }),
    });
    const { headers } = stream.response;
    expect(headers.get('x-ratelimit-remaining-requests')).toBe('9');
    expect(Number(headers.get('x-ratelimit-remaining-tokens'))).toBeLessThan(5_000);
    expect(headers.get('access-control-allow-origin')).toBe(ORIGIN);
    const exposed = headers.get('access-control-expose-headers')?.split(', ') ?? [];
    // Without what is said to proxies.
    const ours = [...headers.keys()].filter((name) => /^(x-(?!accel-)|openai-)/.test(name));
    expect(exposed).toEqual(expect.arrayContaining(ours));
    expect(ours).toEqual(
      expect.arrayContaining(['openai-processing-ms', 'x-ratelimit-reset-tokens']),
    );
    stream.leave();
  });
});

async function tokenFor(id: string, key = acme) {
  const { status, body } = await call(`/v1/jobs/${id}/token`, { key, method: 'POST' });
  expect(status).toBe(200);
  return body as { token: string; url: string; expires_at: number };
}

describe('a token for the events of a job', () => {
  it('opens these events on any replica, and nothing else', async () => {
    const [id, another] = [await submitted(acme), await submitted(acme)];
    const { token, url, expires_at: expiresAt } = await tokenFor(id);
    texts.push(token);
    expect(expiresAt * 1_000).toBeGreaterThan(Date.now());
    const stream = await openStream(url.replace(world.api.url, other.url));
    expect(stream.response.status).toBe(200);
    await stream.until('event: queued');
    stream.leave();

    for (const path of [`/v1/jobs/${another}/events`, `/v1/jobs/${id}`, `/v1/jobs`, `/v1/models`]) {
      expect((await call(`${path}?token=${token}`)).status).toBe(401);
    }
    expect((await call(`/v1/jobs/${id}/cancel?token=${token}`, { method: 'POST' })).status).toBe(
      401,
    );
    expect(
      (await call('/v1/models', { headers: { authorization: `Bearer ${token}` } })).status,
    ).toBe(401);
  });

  it.each<[string, (token: string) => string]>([
    ['changed', (token) => `${token.slice(0, -2)}${token.endsWith('AA') ? 'BB' : 'AA'}`],
    [
      'signed by nobody',
      (token) => {
        const header = Buffer.from('{"alg":"none"}').toString('base64url');
        return `${header}.${token.split('.')[1]}.`;
      },
    ],
    ['empty', () => ''],
    ['very long', (token) => token.repeat(10)],
  ])('is refused where it is %s', async (_name, spoil) => {
    const id = await submitted(acme);
    const { token } = await tokenFor(id);
    expect((await call(`/v1/jobs/${id}/events?token=${spoil(token)}`)).status).toBe(401);
  });

  it('is refused once the key that it was made with is revoked', async () => {
    const key = await make();
    const id = await submitted(key);
    const { token } = await tokenFor(id, key);
    const path = `/v1/jobs/${id}/events?token=${token}`;
    const stream = await openStream(world.api.url + path);
    expect(stream.response.status).toBe(200);
    stream.leave();
    await keys.revoke(key.id);
    await waitUntil('it is refused', async () => {
      const again = await openStream(world.api.url + path);
      again.leave();
      return again.response.status === 401;
    });
  });
});

const preflight = (origin: string) =>
  call('/v1/chat/completions', {
    method: 'OPTIONS',
    headers: {
      origin,
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization,x-stainless-lang',
    },
  });

describe('pages of other origins', () => {
  it('may ask where they are listed, without a key', async () => {
    const { status, headers } = await preflight(ORIGIN);
    expect(status).toBe(204);
    expect(headers.get('access-control-allow-origin')).toBe(ORIGIN);
    expect(headers.get('access-control-allow-headers')).toContain('x-stainless-lang');
    expect(headers.get('access-control-allow-methods')).toContain('DELETE');
    expect(headers.get('access-control-allow-credentials')).toBeNull();
    // Also what is refused can be read by the page.
    const refused = await call('/v1/models', { headers: { origin: ORIGIN } });
    expect(refused.headers.get('access-control-allow-origin')).toBe(ORIGIN);
  });

  it('may not where they are not', async () => {
    const { headers } = await preflight('https://evil.example');
    expect(headers.get('access-control-allow-origin')).toBeNull();
  });
});

describe('afterwards', () => {
  it('no key and no token is found in Redis or in a log', async () => {
    const kept: string[] = [];
    for (const name of await world.redis.keys('*')) {
      kept.push(name, (await world.redis.dumpBuffer(name))?.toString('latin1') ?? '');
      const type = await world.redis.type(name);
      if (type === 'hash') kept.push(JSON.stringify(await world.redis.hgetall(name)));
    }
    const all = kept.join('\n') + JSON.stringify([world.api.logs, other.logs]);
    expect(texts.length).toBeGreaterThan(10);
    expect(texts.filter((text) => all.includes(text))).toEqual([]);
    expect(all).toContain('key_');
  });
});
