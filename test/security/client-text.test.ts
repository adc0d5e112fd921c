/**
 * What clients write, and what is answered, is theirs: it is in no log at any level, no metric, no
 * name in Redis, no queue entry and no error, and nothing of it becomes a header or a line of a log.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exchange } from '../fuzz/exchange.ts';
import type { Answer } from '../fuzz/exchange.ts';
import { operationsOf } from '../fuzz/operations.ts';
import type { OpenApi, Operation } from '../fuzz/operations.ts';
import { postJson, startApiWorld } from '../harness/api.ts';
import type { ApiWorld } from '../harness/api.ts';
import { completeAll } from '../harness/complete-all.ts';
import { startDnsServer } from '../harness/dns-server.ts';
import type { DnsServer } from '../harness/dns-server.ts';
import { startEngineProcess } from '../harness/engine-process.ts';
import { tracesOf } from '../harness/redis-traces.ts';
import { waitUntil } from '../harness/wait-until.ts';
import { startWorkerProcess } from '../harness/worker-process.ts';

const WAIT_MS = 20_000;
const SECRET = randomBytes(32).toString('base64');
/** The record and the log of a job; its log is also what live messages bring. */
const CONTENT = /^(?:in|bytes of) qarr:\{job_\w+\}:(?:job|log)$/;
/** Names, which an error may repeat, so that its reader knows which one was not found. */
const NAMES = new Set(['model', 'tier']);

let dns: DnsServer;
let world: ApiWorld;
let posts: Operation[];

beforeAll(async () => {
  dns = await startDnsServer(() => null);
  world = await startApiWorld({
    LOG_LEVEL: 'debug',
    QARR_WEBHOOK_SECRETS: `whsec_${SECRET}`,
    // Nobody is found, and that is logged.
    QARR_WEBHOOK_DNS_SERVERS: dns.address,
    QARR_HEARTBEAT_MS: '100',
  });
  const document = (await (await fetch(`${world.api.url}/openapi.json`)).json()) as OpenApi;
  posts = operationsOf(document).filter(({ body }) => body !== null);
});
afterAll(async () => {
  await world.stop();
  await dns.stop();
});

describe('a canary', () => {
  const key = canary('key');
  const asked = canary('asked');
  const headers = {
    'content-type': 'application/json',
    authorization: `Bearer ${key}`,
    cookie: `session=${key}`,
    'x-api-key': key,
  };

  it('in what is asked and answered is with its job and nowhere else', async () => {
    const engine = await startEngineProcess('--profile=awq-24gb');
    const worker = await startWorkerProcess({
      REDIS_URL: world.redisServer.url,
      QARR_UPSTREAM_URL: engine.url,
      QARR_WARMUP_REQUESTS: '1',
      LOG_LEVEL: 'debug',
    });
    const body = {
      tier: 'fast',
      max_tokens: 20,
      messages: [
        { role: 'system', content: asked },
        { role: 'user', content: [{ type: 'text', text: asked }], name: asked },
      ],
      stop: [asked],
      tools: [{ type: 'function', function: { name: 'f', description: asked } }],
      tool_choice: 'none',
      user: asked,
      metadata: { of: asked },
      webhook_url: `https://nobody.example.com/?${asked}`,
    };
    // One is answered, one is broken off in the middle and carried on, one fails.
    const cut = { fault: 'cut', params: { after: 4 }, times: 1 };
    const status = { fault: 'status', params: { status: 400 }, times: 1 };
    for (const rule of [null, cut, status]) {
      if (rule !== null) await engine.fault(rule);
      const response = await postJson(`${world.api.url}/v1/jobs`, body, { headers });
      const { id } = (await response.json()) as { id: string };
      await waitUntil('its webhook has failed', () =>
        world.api.logs.some(({ msg, job_id: job }) => msg === 'webhook failed' && job === id),
      );
      const job = (await (await fetch(`${world.api.url}/v1/jobs/${id}`)).json()) as Job;
      const secrets = [key, asked, SECRET];
      if (rule !== status) secrets.push(job.result?.text ?? 'no answer');
      expect(job.status).toBe(rule === status ? 'failed' : 'completed');
      expect(JSON.stringify(job.error)).not.toContain('canary');
      const told = [
        JSON.stringify([world.api.logs, worker.logs]),
        await (await fetch(`${world.api.opsUrl}/metrics`)).text(),
        await (await fetch(`${worker.opsUrl}/metrics`)).text(),
      ];
      for (const secret of secrets) {
        for (const text of told) expect(text).not.toContain(JSON.stringify(secret).slice(1, -1));
      }
    }
    // It was looked for where it would have been.
    expect(JSON.stringify(worker.logs)).toContain('"state":"failed"');
    const traces = await tracesOf(world.redis, asked);
    expect(traces.length).toBeGreaterThan(0);
    expect(traces.filter((trace) => !CONTENT.test(trace))).toEqual([]);
    expect(await tracesOf(world.redis, key)).toEqual([]);
    expect(await tracesOf(world.redis, SECRET)).toEqual([]);
  });

  it('in what is wrong is in no error, whatever field it is in', async () => {
    for (const { path, body } of posts) {
      const url = world.api.url + path.replaceAll(/\{\w+\}/g, 'x');
      const fields = Object.keys(body?.properties ?? {}).filter((name) => !NAMES.has(name));
      const bodies = [
        `{"prompt": "${asked}`,
        `"${asked}"`,
        JSON.stringify({ prompt: `${asked} <|image_pad|>` }),
        ...fields.flatMap((name) =>
          [asked, [{ [name]: asked, role: asked, type: asked, content: asked }]].map((value) =>
            JSON.stringify({ prompt: 7, temperature: 'hot', [name]: value }),
          ),
        ),
      ];
      for (const text of bodies) {
        const response = await postJson(url, text, { headers });
        expect([path, text, response.status]).toEqual([path, text, expect.toSatisfy(isRefusal)]);
        expect(await response.text()).not.toContain('canary-');
      }
    }
    expect(JSON.stringify(world.api.logs)).not.toContain('canary-');
  });
});

interface Job {
  readonly status: string;
  readonly error: unknown;
  readonly result: { readonly text: string } | null;
}

function canary(what: string): string {
  return `canary-${what}-${randomUUID()}`;
}

function isRefusal(status: number): boolean {
  return status >= 400 && status < 500;
}

describe('what would end a line, or colour a terminal', () => {
  const HOSTILE = [
    '\r\nx-injected: 1\r\n',
    '\nx-injected: 1',
    '\u001b[31mx-injected',
    '\u2028x-injected\u0085',
  ];

  // What is taken is to be answered.
  beforeAll(async () => {
    for (const tier of ['fast', 'balanced', 'precise']) {
      void completeAll(await world.startWorker(tier, {}, { takesBatches: true }));
    }
  });

  it('in any field of a body is nothing but text', async () => {
    for (const { path, body } of posts) {
      for (const name of Object.keys(body?.properties ?? {})) {
        await expectHarmless({
          target: path.replaceAll(/\{\w+\}/g, 'x'),
          headers: ['content-type: application/json'],
          body: JSON.stringify({ prompt: 'Hello', [name]: HOSTILE.join('') }),
        });
      }
    }
    expect(JSON.stringify(world.api.logs)).not.toContain('x-injected');
  });

  it.each(HOSTILE)('in a path, a query or a header is nothing but text: %j', async (hostile) => {
    const encoded = encodeURIComponent(hostile);
    for (const target of [
      `/${encoded}`,
      `/v1/jobs/${encoded}`,
      `/v1/models/${encoded}`,
      `/v1/jobs?after=${encoded}`,
    ]) {
      await expectHarmless({ method: 'GET', target });
    }
    const names = [
      'idempotency-key',
      'traceparent',
      'prefer',
      'authorization',
      'host',
      'x-request-id',
      'last-event-id',
      'origin',
      'accept',
    ];
    for (const name of names) {
      for (const value of [hostile, encoded, `"${encoded}"`]) {
        const start = name === 'host' ? '' : 'host: localhost\r\n';
        await expectHarmless({
          raw: `POST /v1/route HTTP/1.1\r\n${start}content-length: 0\r\nconnection: close\r\n${name}: a${value.trimEnd()}\r\n\r\n`,
        });
      }
    }
    expect(JSON.stringify(world.api.logs)).not.toContain('x-injected');
  });
});

async function expectHarmless(request: Partial<Parameters<typeof exchange>[0]>): Promise<Answer> {
  const answer = await exchange(
    { method: 'POST', target: '/v1/jobs', headers: [], body: null, raw: null, ...request },
    { port: world.api.port, waitMs: WAIT_MS },
  );
  expect(answer.status).not.toBeNull();
  expect(answer.status).not.toBe(500);
  expect(answer.headers.has('x-injected')).toBe(false);
  expect([...answer.headers.values()].join()).not.toContain('x-injected');
  // JSON, in which it is written by other characters.
  for (const character of ['\r', '\u001b', '\n\n\n']) expect(answer.body).not.toContain(character);
  return answer;
}
