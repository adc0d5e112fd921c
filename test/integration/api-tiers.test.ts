import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { postJson, startApiWorld } from '../harness/api.ts';
import type { ApiWorld } from '../harness/api.ts';
import { waitUntil } from '../harness/wait-until.ts';

interface RoutingCase {
  name: string;
  request: object;
  tier: string;
  why: string;
}
interface Operation {
  requestBody: { content: Record<string, { schema: object }> };
}
const cases = JSON.parse(
  readFileSync(new URL('../cases/routing.json', import.meta.url), 'utf8'),
) as RoutingCase[];

let world: ApiWorld;
beforeAll(async () => {
  world = await startApiWorld();
});
afterAll(() => world.stop());

async function get(path: string): Promise<{ status: number; body: Record<string, unknown> }> {
  const response = await fetch(world.api.url + path);
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

describe('asking for the route', () => {
  it.each(cases)('explains: $name', async ({ request, tier, why }) => {
    const response = await postJson(`${world.api.url}/v1/route`, request);
    const body = (await response.json()) as { reasons: string[] };
    expect(response.status).toBe(200);
    expect(body).toMatchObject({ tier });
    expect(body.reasons.join(', ')).toContain(why);
    expect(response.headers.get('x-qarr-tier')).toBe(tier);
    expect(response.headers.get('x-qarr-route')).toBe(body.reasons.join(', '));
  });

  it('shows what it looked at, what fits, and where else it could go', async () => {
    const response = await postJson(`${world.api.url}/v1/route`, { prompt: 'Hi', max_tokens: 600 });
    expect(await response.json()).toEqual({
      tier: 'balanced',
      reasons: ['max_tokens>512'],
      features: {
        words: 1,
        code: false,
        max_tokens: 600,
        temperature: 0.7,
        prompt_tokens: expect.any(Number),
      },
      fits: { fast: true, balanced: true, precise: true },
      alternatives: ['fast', 'precise'],
      dropped_messages: 0,
      admission: {
        kind: 'enqueue',
        tier: 'balanced',
        reason: 'wait_unknown',
        estimated_wait_ms: null,
        retry_after_ms: null,
      },
    });
  });

  it('runs nothing', async () => {
    await postJson(`${world.api.url}/v1/route`, { prompt: 'Hi' });
    expect(await world.jobIds()).toEqual([]);
  });
});

describe('without keys', () => {
  it('everybody may do everything, and nothing is said of limits', async () => {
    const submitted = await postJson(`${world.api.url}/v1/jobs`, { prompt: 'Hi', class: 'batch' });
    expect(submitted.status).toBe(202);
    expect(
      [...submitted.headers.keys()].filter((name) => /ratelimit|access-control/.test(name)),
    ).toEqual([]);
    const { id, urls } = (await submitted.json()) as {
      id: string;
      urls: { events: string; self: string };
    };
    // The same program works as where a token is needed.
    const token = await postJson(`${world.api.url}/v1/jobs/${id}/token`, {});
    expect(await token.json()).toEqual({
      object: 'job.token',
      token: null,
      expires_at: null,
      url: urls.events,
    });
    await fetch(urls.self, { method: 'DELETE' });
  });
});

describe('without a worker', () => {
  it('the process lives but is not ready', async () => {
    expect(await get('/healthz')).toEqual({ status: 200, body: { ok: true } });
    expect(await get('/readyz')).toEqual({
      status: 503,
      body: {
        ready: false,
        redis: true,
        stopping: false,
        storage_full: false,
        warnings: [],
        tiers: { fast: false, balanced: false, precise: false },
      },
    });
  });

  it('the models are auto and the tiers', async () => {
    expect(await get('/v1/models')).toEqual({
      status: 200,
      body: {
        object: 'list',
        data: ['auto', 'fast', 'balanced', 'precise'].map((id) => ({
          id,
          object: 'model',
          created: expect.any(Number),
          owned_by: 'qarr',
        })),
      },
    });
  });

  it('the tiers show what is configured', async () => {
    const { body } = await get('/v1/tiers');
    expect(body['tiers']).toMatchObject([
      { name: 'fast', precision: 'awq-int4', max_model_len: 2048, depth: 0, slots: 0, workers: [] },
      { name: 'balanced', precision: 'fp8', max_model_len: 8192, estimated_wait_ms: null },
      { name: 'precise', precision: 'bf16', max_model_len: 32_768 },
    ]);
  });
});

describe('with workers', () => {
  it('is ready by one that pulls, not by one whose engine does not answer', async () => {
    const open = await world.startWorker('precise', { breaker: 'open' });
    expect((await get('/readyz')).status).toBe(503);
    const worker = await world.startWorker('fast');
    expect(await get('/readyz')).toMatchObject({
      status: 200,
      body: { ready: true, tiers: { fast: true, balanced: false, precise: false } },
    });
    await worker.stop();
    expect((await get('/readyz')).status).toBe(503);
    await open.stop();
  });

  it('the tiers show depth, slots, the wait and what the engines told', async () => {
    const worker = await world.startWorker('balanced', {
      slots: 4,
      running: 4,
      service_ms: 1_000,
      tokens_per_s: 50,
      max_model_len: 1_000,
      model: 'org/model',
      upstream: 'http://10.0.0.1:8000',
    });
    await postJson(`${world.api.url}/v1/jobs`, { prompt: 'Hi', tier: 'precise' });
    const { body } = await get('/v1/tiers');
    expect(body['tiers']).toEqual([
      expect.objectContaining({ name: 'fast', depth: 0 }),
      {
        name: 'balanced',
        precision: 'fp8',
        max_model_len: 1_000,
        depth: 0,
        depth_by_class: { interactive: 0, standard: 0, batch: 0 },
        // By the queue's own count, not by what a heartbeat said a moment ago.
        running: 0,
        slots: 4,
        alert: false,
        breaker: 'closed',
        estimated_wait_ms: 0,
        estimated_wait_ms_by_class: { interactive: 0, standard: 0, batch: 0 },
        fallback_jobs: 0,
        tokens_per_s: 50,
        workers: [
          {
            id: expect.any(String),
            host: 'test',
            pid: process.pid,
            slots: 4,
            running: 4,
            breaker: 'closed',
            upstream: 'http://10.0.0.1:8000',
            model: 'org/model',
            max_model_len: 1_000,
            service_ms: 1_000,
            tokens_per_s: 50,
          },
        ],
      },
      expect.objectContaining({ name: 'precise', depth: 1 }),
    ]);

    const models = (await get('/v1/models')).body['data'] as { id: string }[];
    expect(models.map(({ id }) => id)).toEqual([
      'auto',
      'fast',
      'balanced',
      'precise',
      'org/model',
    ]);
    expect((await get('/v1/models/org%2Fmodel')).body).toMatchObject({ id: 'org/model' });
    expect((await get('/v1/models/gpt-9')).body).toMatchObject({
      error: { code: 'model_not_found' },
    });
    // The engine's window counts, not the configured one.
    const response = await postJson(`${world.api.url}/v1/route`, {
      prompt: 'Hi',
      max_tokens: 1_001,
      tier: 'balanced',
    });
    expect(await response.json()).toMatchObject({ error: { code: 'context_length_exceeded' } });
    // The served model means auto.
    const served = await postJson(`${world.api.url}/v1/route`, {
      prompt: 'Hi',
      model: 'org/model',
    });
    expect(await served.json()).toMatchObject({ tier: 'fast', reasons: ['default'] });
    await worker.stop();
  });
});

describe('metrics', () => {
  it('are on the port for operators, and only there', async () => {
    expect((await fetch(`${world.api.url}/metrics`)).status).toBe(404);
    const response = await fetch(`${world.api.opsUrl}/metrics`);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toContain('text/plain');
    expect((await fetch(`${world.api.opsUrl}/v1/tiers`)).status).toBe(404);
  });

  it('count what was routed and refused, and show how many wait', async () => {
    await postJson(`${world.api.url}/v1/jobs`, { prompt: 'Hi', max_tokens: 2_000 });
    await postJson(`${world.api.url}/v1/jobs`, { prompt: 'Hi', max_tokens: 0 });
    await fetch(`${world.api.url}/v1/tiers`);
    await waitUntil('the metrics show it', async () => {
      const metrics = await (await fetch(`${world.api.opsUrl}/metrics`)).text();
      return [
        /^qarr_routed_total\{tier="precise",reason="max_tokens>1024"\} 1$/m,
        /^qarr_refused_total\{code="invalid_request"\} 1$/m,
        /^qarr_queue_depth\{tier="precise",class="standard"\} 2$/m,
        /^qarr_queue_depth\{tier="fast",class="interactive"\} 0$/m,
        /^qarr_sse_connections 0$/m,
      ].every((line) => line.test(metrics));
    });
  });
});

describe('/openapi.json', () => {
  const methods = new Set(['get', 'post', 'put', 'patch', 'delete', 'head', 'options']);

  it('is OpenAPI 3.1 in its structure, and what it refers to is there', async () => {
    const { status, body } = await get('/openapi.json');
    expect(status).toBe(200);
    expect(body).toMatchObject({
      openapi: '3.1.0',
      info: { title: 'QARR', version: expect.any(String) },
    });
    for (const [path, item] of Object.entries(body['paths'] as Record<string, object>)) {
      expect(path).toMatch(/^\//);
      for (const [method, operation] of Object.entries(item)) {
        expect(methods).toContain(method);
        expect(operation.responses, `${method} ${path}`).toEqual(expect.any(Object));
        expect(operation.summary, `${method} ${path}`).toEqual(expect.any(String));
        const named = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
        const parameters = (operation.parameters ?? []) as {
          in: string;
          name: string;
          required?: boolean;
        }[];
        const inPath = parameters.filter((parameter) => parameter.in === 'path');
        expect(inPath.map(({ name }) => name)).toEqual(named);
        expect(inPath.every(({ required }) => required === true)).toBe(true);
      }
    }
    for (const [, reference = ''] of JSON.stringify(body).matchAll(/"\$ref":"([^"]+)"/g)) {
      const target = reference
        .replace(/^#\//, '')
        .split('/')
        .reduce<unknown>((at, key) => (at as Record<string, unknown>)?.[key], body);
      expect([reference, target]).toEqual([reference, expect.anything()]);
    }
  });

  it('lists every route', async () => {
    const { body } = await get('/openapi.json');
    const routes = Object.entries(body['paths'] as Record<string, object>).flatMap(([path, item]) =>
      Object.keys(item).map((method) => `${method} ${path}`),
    );
    expect(routes.toSorted()).toEqual([
      'delete /v1/files/{id}',
      'delete /v1/jobs/{id}',
      'delete /v1/responses/{id}',
      'get /healthz',
      'get /readyz',
      'get /v1/batches',
      'get /v1/batches/{id}',
      'get /v1/batches/{id}/results',
      'get /v1/files',
      'get /v1/files/{id}',
      'get /v1/files/{id}/content',
      'get /v1/jobs',
      'get /v1/jobs/{id}',
      'get /v1/jobs/{id}/events',
      'get /v1/models',
      'get /v1/models/{id}',
      'get /v1/responses/{id}',
      'get /v1/responses/{id}/input_items',
      'get /v1/tiers',
      'post /v1/batches',
      'post /v1/batches/{id}/cancel',
      'post /v1/chat/completions',
      'post /v1/completions',
      'post /v1/files',
      'post /v1/jobs',
      'post /v1/jobs/{id}/cancel',
      'post /v1/jobs/{id}/token',
      'post /v1/responses',
      'post /v1/responses/{id}/cancel',
      'post /v1/route',
    ]);
  });

  it('says of every route what an error looks like', async () => {
    const { body } = await get('/openapi.json');
    const operations = Object.values(body['paths'] as Record<string, object>).flatMap((item) =>
      Object.values(item as Record<string, { responses: Record<string, unknown> }>),
    );
    for (const { responses } of operations) {
      expect(responses['4XX'] ?? responses['4xx']).toMatchObject({
        content: { 'application/json': { schema: { required: ['error'] } } },
      });
    }
  });

  it('describes the fields of requests, with their limits', async () => {
    const { body } = await get('/openapi.json');
    const paths = body['paths'] as Record<string, Record<string, unknown>>;
    const schemaOf = (path: string) => {
      const operation = paths[path]?.['post'] as Operation;
      return operation.requestBody.content['application/json']?.schema;
    };
    const fields = {
      messages: { type: 'array', minItems: 1 },
      prompt: { type: 'string' },
      system_prompt: { type: 'string' },
      max_tokens: { type: 'integer', minimum: 1, maximum: 1_000_000 },
      temperature: { type: 'number', minimum: 0, maximum: 2 },
      stream: { type: 'boolean' },
      tier: { type: 'string' },
      model: { type: 'string' },
    };
    for (const path of ['/v1/chat/completions', '/v1/jobs', '/v1/route']) {
      expect(schemaOf(path)).toMatchObject({ type: 'object', properties: fields });
    }
    expect(schemaOf('/v1/jobs')).toMatchObject({
      additionalProperties: false,
      properties: { class: { enum: ['interactive', 'standard', 'batch'] }, queue_timeout_ms: {} },
    });
  });
});
