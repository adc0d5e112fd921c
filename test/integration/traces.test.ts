/**
 * One life of each kind, by real processes, as a collector of traces and the readers of the logs see it.
 * All lives run beside each other; each test looks at one of them.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseConfig } from '../../apps/vllm-sim/src/config.ts';
import { startSimulator } from '../../apps/vllm-sim/src/simulator.ts';
import type { Simulator } from '../../apps/vllm-sim/src/simulator.ts';
import { KEY_SECRET, openKeys } from '../harness/api-keys.ts';
import type { TestKey } from '../harness/api-keys.ts';
import { startBatchWorld } from '../harness/batch-world.ts';
import type { BatchWorld, Child } from '../harness/batch-world.ts';
import { startTraceCollector } from '../harness/trace-collector.ts';
import type { CollectedSpan, TraceCollector } from '../harness/trace-collector.ts';
import { waitUntil } from '../harness/wait-until.ts';

const PROMPT = 'canary-prompt-7391';
const SPAN_ID = '00f067aa0ba902b7';
/** Of a tier: one without a worker is full soon. */
const DEPTH_MAX = 8;

let collector: TraceCollector;
let world: BatchWorld;
let api: Child & { url: string };
let key: TestKey;
const processes: Child[] = [];
const answers: string[] = [];
/** By all metrics. */
let exposed = '';
let engines: Simulator[] = [];
/** What those two have been told of traces. */
let engineContexts: (string | null)[] = [];

interface Life {
  readonly traceId: string;
  readonly requestId: string;
  readonly jobId: string;
  readonly status: number;
}
const lives: Record<string, Life> = {};

const traceOf = (life: string) => {
  const { traceId } = lives[life] ?? {};
  return collector.spans.filter((span) => span.traceId === traceId);
};
const linesOf = (jobId: string) =>
  processes
    .flatMap(({ logs }) => logs)
    .filter(({ job_id: id, state }) => id === jobId && state !== undefined)
    .toSorted((one, other) => placeOf(one).localeCompare(placeOf(other)));
/** A worker may start a job before the API hears that it is written. */
const placeOf = ({ state, time }: Readonly<Record<string, unknown>>) =>
  state === 'queued' ? '' : String(time);
const statesOf = (life: string) => linesOf(lives[life]?.jobId ?? '').map(({ state }) => state);

async function started(child: Promise<Child>): Promise<Child> {
  processes.push(await child);
  return child;
}

/** A request in a trace of its own. */
async function ask(life: string, path: string, body: object): Promise<Response> {
  const traceId = randomBytes(16).toString('hex');
  const response = await fetch(`${api.url}${path}`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      traceparent: `00-${traceId}-${SPAN_ID}-01`,
      ...key.headers,
    },
    body: JSON.stringify(body),
  });
  lives[life] = {
    traceId,
    requestId: response.headers.get('x-request-id') ?? '',
    jobId: response.headers.get('x-qarr-job') ?? '',
    status: response.status,
  };
  return response;
}

const chatBody = (tier: string, more: object = {}) => ({
  model: tier,
  messages: [{ role: 'user', content: `Tell me about ${PROMPT}.` }],
  max_tokens: 4,
  ...more,
});

async function chat(life: string, body: object): Promise<void> {
  const response = await ask(life, '/v1/chat/completions', body);
  const answer = await response.text();
  if (response.ok && answer.startsWith('{')) {
    const { choices } = JSON.parse(answer) as { choices: { message: { content: string } }[] };
    answers.push(choices[0]?.message.content ?? '');
  }
}

const jobBody = (tier: string, more: object = {}) => ({
  tier,
  prompt: `Tell me about ${PROMPT}.`,
  max_tokens: 4,
  ...more,
});

const submit = async (life: string, body: object) =>
  void (await (await ask(life, '/v1/jobs', body)).text());
const urlOf = (life: string) => `${api.url}/v1/jobs/${lives[life]?.jobId}`;
const end = (life: string) =>
  waitUntil(`${life} is over`, () => statesOf(life).some((state) => ENDS.has(String(state))), {
    timeoutMs: 20_000,
  });
const running = (life: string) =>
  waitUntil(`${life} has text`, async () => {
    const record = await world.store.get(lives[life]?.jobId ?? '');
    return record !== null && record.state === 'running' && record.seq > 4;
  });
const ENDS = new Set(['completed', 'failed', 'cancelled', 'expired', 'deleted']);

/** Its worker is killed in the middle: it takes 7 s until that is noticed, so it comes first. */
async function killedLife(workers: readonly Child[]): Promise<void> {
  await submit('killed', jobBody('fast', { max_tokens: 100, ignore_eos: true }));
  await running('killed');
  const [line] = linesOf(lives['killed']?.jobId ?? '').filter(({ state }) => state === 'running');
  const victim = workers.find(({ started: { worker } }) => worker === line?.['worker']);
  victim?.kill('SIGKILL');
  await Promise.all([fastLives(), end('killed')]);
}

async function fastLives(): Promise<void> {
  await Promise.all([
    chat('plain', chatBody('fast')),
    chat('stream', chatBody('fast', { stream: true })),
    chat('invalid', {}),
    leftLife(),
    cancelledLife(),
    deletedLife(),
    fallbackLife(),
  ]);
}

/** Its reader leaves in the middle, and the job with it. */
async function leftLife(): Promise<void> {
  const body = chatBody('fast', { stream: true, max_tokens: 1_000, ignore_eos: true });
  const reader = (await ask('left', '/v1/chat/completions', body)).body?.getReader();
  await reader?.read();
  await reader?.cancel();
  await end('left');
}

async function cancelledLife(): Promise<void> {
  await submit('cancelled', jobBody('fast', { max_tokens: 1_000, ignore_eos: true }));
  await running('cancelled');
  await fetch(`${urlOf('cancelled')}/cancel`, { method: 'POST', headers: key.headers });
  await end('cancelled');
}

async function deletedLife(): Promise<void> {
  await submit('deleted', jobBody('fast'));
  await end('deleted');
  await fetch(urlOf('deleted'), { method: 'DELETE', headers: key.headers });
  await waitUntil('it is deleted', () => statesOf('deleted').includes('deleted'));
}

/** In a tier without a worker: one that nobody starts in time, and what comes when it is full. */
async function fallbackLife(): Promise<void> {
  await submit('expired', jobBody('precise', { queue_timeout_ms: 1 }));
  await end('expired');
  await waitUntil('its place is free', async () => (await tierNamed('precise')).depth === 0);
  const waiting = Array.from({ length: DEPTH_MAX }, (_, at) => `waiting ${at}`);
  await Promise.all(waiting.map((life) => submit(life, jobBody('precise'))));
  await waitUntil('it is known how fast another tier is', async () => {
    return (await tierNamed('fast')).estimated_wait_ms !== null;
  });
  await submit('rerouted', jobBody('precise', { fallback: 'any' }));
  await submit('refused', jobBody('precise', { fallback: 'none' }));
  await fetch(`${urlOf('waiting 0')}/cancel`, { method: 'POST', headers: key.headers });
  await Promise.all([end('rerouted'), end('waiting 0')]);
}

/** One of two engines fails it, and the other one has it. Then a worker hands a job to another. */
async function balancedLives(worker: Child): Promise<void> {
  await waitUntil('both are ready', async () => (await tierNamed('balanced')).slots === 4);
  // Whichever has it first.
  for (const { url } of engines) {
    await fetch(`${url}/_sim/faults`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ fault: 'cut', params: { after: 3 }, times: 1 }),
    });
  }
  await submit('retried', jobBody('balanced', { max_tokens: 20, on_interrupt: 'restart' }));
  await end('retried');
  await submit('handed back', jobBody('balanced', { max_tokens: 300, ignore_eos: true }));
  await running('handed back');
  await Promise.all([worker.stop(), startBalanced()]);
  await end('handed back');
}

const startBalanced = () => {
  const urls = engines.map(({ url }) => url).join();
  const env = { QARR_UPSTREAM_URL: urls, QARR_CONCURRENCY: '2' };
  return started(world.startWorker('balanced', env));
};

interface Tier {
  readonly name: string;
  readonly depth: number;
  readonly slots: number;
  readonly estimated_wait_ms: number | null;
}

async function tierNamed(name: string): Promise<Tier> {
  const response = await fetch(`${api.url}/v1/tiers`, { headers: key.headers });
  const { tiers } = (await response.json()) as { tiers: Tier[] };
  const found = tiers.find((each) => each.name === name);
  if (found === undefined) throw new Error(`No tier ${name}`);
  return found;
}

async function beginApi(): Promise<void> {
  api = await world.startApi();
  processes.push(api);
}

async function startEngine(): Promise<Simulator> {
  const parsed = parseConfig(['--port', '0', '--profile', 'awq-24gb']);
  if (parsed.kind !== 'config') throw new Error('These flags are wrong');
  return startSimulator(parsed.config);
}

async function batchLife(): Promise<void> {
  const requests = [{ custom_id: 'one', body: chatBody('fast') }];
  const made = await ask('batch', '/v1/batches', { endpoint: '/v1/chat/completions', requests });
  await world.untilOver(((await made.json()) as { id: string }).id);
}

beforeAll(async () => {
  collector = await startTraceCollector();
  engines = await Promise.all([startEngine(), startEngine()]);
  world = await startBatchWorld({
    engineFlags: ['--profile=awq-24gb'],
    environment: {
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_EXPORTER_OTLP_HEADERS: 'x-collector-key=a%20key',
      OTEL_BSP_SCHEDULE_DELAY: '100',
      QARR_KEY_SECRETS: KEY_SECRET,
      QARR_QUEUE_DEPTH_MAX: String(DEPTH_MAX),
    },
  });
  const keys = await openKeys(world.redisUrl);
  key = await keys.make();
  await keys.stop();
  const [first, second, third] = await Promise.all([
    started(world.startWorker('fast')),
    started(world.startWorker('fast')),
    startBalanced(),
    started(world.startRunner()),
    beginApi(),
  ]);
  await Promise.all([killedLife([first, second]), batchLife(), balancedLives(third)]);
  // What is in their queues leaves with them; what was killed has lost it.
  const metrics = await Promise.all(
    processes.map(async ({ started: { ops_port: port } }) =>
      fetch(`http://127.0.0.1:${String(port)}/metrics`).then(
        (response) => response.text(),
        () => '',
      ),
    ),
  );
  exposed = metrics.join('\n');
  const states = await Promise.all(
    engines.map(async ({ url }) => (await fetch(`${url}/_sim/state`)).json()),
  );
  engineContexts = (states as { recent: { traceparent: string | null }[] }[]).flatMap(
    ({ recent }) => recent.map(({ traceparent }) => traceparent),
  );
  await Promise.all(processes.map((child) => child.stop()));
}, 120_000);
afterAll(async () => {
  await world.stop();
  await Promise.all(engines.map((engine) => engine.stop()));
  await collector.stop();
});

/** A span of a trace by its name, the oldest attempt first. */
function spansNamed(life: string, name: string): CollectedSpan[] {
  return traceOf(life)
    .filter((span) => span.name === name)
    .toSorted(
      (a, b) => Number(a.attributes['qarr.attempt']) - Number(b.attributes['qarr.attempt']),
    );
}

function only(life: string, name: string): CollectedSpan {
  const [span, ...others] = spansNamed(life, name);
  if (span === undefined || others.length > 0) {
    throw new Error(`${life} has ${others.length + (span ? 1 : 0)} spans ${name}`);
  }
  return span;
}

const childrenOf = (life: string, { spanId }: CollectedSpan) =>
  traceOf(life)
    .filter(({ parentId }) => parentId === spanId)
    .map(({ name }) => name)
    .toSorted();

describe('a request', () => {
  it.each(['plain', 'stream'])('is one trace from its client to the engine: %s', (life) => {
    const server = only(life, 'POST /v1/chat/completions');
    const enqueue = only(life, 'enqueue');
    const attempt = only(life, 'attempt');
    const call = only(life, 'chat qarr-sim');
    expect(server).toMatchObject({ kind: 'server', service: 'qarr-api', parentId: SPAN_ID });
    expect(server.events).toEqual([]);
    expect(server.attributes).toMatchObject({
      'http.request.method': 'POST',
      'http.route': '/v1/chat/completions',
      'http.response.status_code': 200,
      'qarr.request.id': lives[life]?.requestId,
      'qarr.job.id': lives[life]?.jobId,
    });
    expect(childrenOf(life, server)).toEqual(['enqueue', 'route_inference']);
    expect(only(life, 'route_inference').attributes).toMatchObject({
      'prompt.length': `Tell me about ${PROMPT}.`.length,
      'route.tier': 'fast',
      'route.requested_tier': 'fast',
      'route.reasons': ['pinned'],
    });
    expect(enqueue).toMatchObject({ kind: 'producer', hasFailed: false });
    expect(childrenOf(life, enqueue)).toEqual(['attempt', 'queue_wait']);
    expect(attempt).toMatchObject({ kind: 'consumer', service: 'qarr-worker', hasFailed: false });
    expect(attempt.attributes).toMatchObject({
      'qarr.attempt': 1,
      'qarr.attempt.outcome': 'completed',
      'qarr.tier': 'fast',
      'qarr.job.class': 'interactive',
    });
    expect(childrenOf(life, attempt)).toEqual(['chat qarr-sim']);
    expect(call).toMatchObject({ kind: 'client', events: ['first_token'], hasFailed: false });
    expect(call.attributes).toMatchObject({
      'gen_ai.operation.name': 'chat',
      'gen_ai.request.model': 'qarr-sim',
      'gen_ai.request.max_tokens': 4,
      'gen_ai.usage.output_tokens': 4,
      'gen_ai.response.finish_reasons': ['length'],
      'server.address': '127.0.0.1',
    });
    expect(traceOf(life)).toHaveLength(6);
    // A stream's span is as long as the stream.
    expect(server.durationMs).toBeGreaterThanOrEqual(call.durationMs);
  });

  it('whose reader leaves a stream says so', () => {
    expect(only('left', 'POST /v1/chat/completions')).toMatchObject({
      events: ['client_gone'],
      hasFailed: false,
    });
  });

  it('hands its trace to the engine', () => {
    const calls = spansNamed('handed back', 'chat qarr-sim');
    const contexts = calls.map(({ traceId, spanId }) => `00-${traceId}-${spanId}-01`);
    expect(contexts).toHaveLength(2);
    expect(engineContexts).toEqual(expect.arrayContaining(contexts));
  });

  it('that is refused says for what', () => {
    expect(lives['invalid']?.status).toBe(400);
    expect(traceOf('invalid')).toMatchObject([
      { hasFailed: false, attributes: { 'error.type': 'invalid_request' } },
    ]);
    expect(only('refused', 'enqueue')).toMatchObject({
      hasFailed: true,
      attributes: { 'error.type': 'queue_full' },
    });
    expect(only('refused', 'POST /v1/jobs').attributes).toMatchObject({
      'error.type': 'queue_full',
      'http.response.status_code': lives['refused']?.status,
    });
  });
});

describe('a job', () => {
  it('that an engine fails is tried on others, in one trace', () => {
    const attempts = spansNamed('retried', 'attempt');
    const last = attempts.pop();
    expect(last).toMatchObject({ events: ['reset'], hasFailed: false });
    expect(last?.attributes['qarr.attempt.outcome']).toBe('completed');
    // The second engine may have failed a canary in place of the job.
    expect([1, 2]).toContain(attempts.length);
    for (const [at, { attributes, events, hasFailed }] of attempts.entries()) {
      expect(attributes['qarr.attempt.outcome']).toBe('tried_again');
      expect(attributes['error.type']).toEqual(expect.stringMatching(/^upstream_/));
      expect(events).toEqual(at === 0 ? [] : ['reset']);
      expect(hasFailed).toBe(true);
    }
    const ports = spansNamed('retried', 'chat qarr-sim').map(
      ({ attributes }) => attributes['server.port'],
    );
    expect(new Set(ports).size).toBeGreaterThanOrEqual(attempts.length);
    const again = attempts.flatMap(() => ['running', 'requeued']);
    expect(statesOf('retried')).toEqual(['queued', ...again, 'running', 'completed']);
  });

  it('whose worker was killed is carried on by another, in one trace', () => {
    const [attempt, ...others] = spansNamed('killed', 'attempt');
    expect(others).toEqual([]);
    expect(attempt?.attributes).toMatchObject({
      'qarr.attempt': 2,
      'qarr.attempt.carries_on': true,
      'qarr.attempt.outcome': 'completed',
      'qarr.job.deaths': 1,
    });
    expect(attempt?.parentId).toBe(only('killed', 'enqueue').spanId);
    expect(statesOf('killed')).toEqual(['queued', 'running', 'running', 'completed']);
    const [, , takenOver, completed] = linesOf(lives['killed']?.jobId ?? '');
    expect(takenOver).toMatchObject({ deaths: 1, upstream: expect.any(String) });
    expect(completed).toMatchObject({ upstream: takenOver?.['upstream'] });
  });

  it('that is handed back goes on elsewhere, in one trace', () => {
    const attempts = spansNamed('handed back', 'attempt');
    expect(attempts.map(({ attributes }) => attributes)).toMatchObject([
      { 'qarr.attempt.outcome': 'handed_back', 'qarr.attempt.carries_on': false },
      { 'qarr.attempt.outcome': 'completed', 'qarr.attempt.carries_on': true },
    ]);
    expect(attempts.map(({ hasFailed }) => hasFailed)).toEqual([false, false]);
    expect(statesOf('handed back')).toEqual([
      'queued',
      'running',
      'requeued',
      'running',
      'completed',
    ]);
  });

  it('that another tier takes says from where and why', () => {
    expect(only('rerouted', 'fallback').attributes).toEqual({
      'fallback.from': 'precise',
      'fallback.to': expect.stringMatching(/^(fast|balanced)$/),
      'fallback.reason': 'queue_full',
    });
    expect(linesOf(lives['rerouted']?.jobId ?? '')[0]).toMatchObject({ from: 'precise' });
  });

  it('that is cancelled says so', () => {
    expect(only('cancelled', 'attempt').attributes['qarr.attempt.outcome']).toBe('cancelled');
    expect(statesOf('cancelled')).toEqual(['queued', 'running', 'cancelled']);
  });

  it('that no worker has ended has its lines as well', () => {
    expect(statesOf('waiting 0')).toEqual(['queued', 'cancelled']);
    expect(statesOf('expired')).toEqual(['queued', 'expired']);
    expect(statesOf('deleted')).toEqual(['queued', 'running', 'completed', 'deleted']);
    expect(statesOf('plain')).toEqual(['queued', 'running', 'completed']);
    expect(statesOf('stream')).toEqual(['queued', 'running', 'completed']);
  });

  it('of a batch has a trace of its own, linked to that of the batch', () => {
    const batch = lives['batch'];
    const line = collector.spans.find(({ name }) => name === 'batch_line');
    expect(line).toMatchObject({ service: 'qarr-batch-runner', links: [batch?.traceId] });
    const trace = collector.spans.filter(({ traceId }) => traceId === line?.traceId);
    expect(trace.map(({ name }) => name).toSorted()).toEqual([
      'attempt',
      'batch_line',
      'chat qarr-sim',
      'enqueue',
      'queue_wait',
      'route_inference',
    ]);
    const enqueue = trace.find(({ name }) => name === 'enqueue');
    const lines = linesOf(String(enqueue?.attributes['qarr.job.id']));
    expect(lines.map(({ state }) => state)).toEqual(['queued', 'running', 'completed']);
    for (const each of lines) expect(each).toMatchObject({ request_id: batch?.requestId });
  });
});

it('each line of a job names job, request and trace', () => {
  for (const { jobId, requestId, traceId } of Object.values(lives)) {
    for (const line of linesOf(jobId)) {
      expect(line).toMatchObject({ job_id: jobId, request_id: requestId, trace_id: traceId });
      expect(line).toMatchObject({ tier: expect.any(String), class: expect.any(String) });
      expect(line).toMatchObject({ attempt: expect.any(Number) });
    }
  }
});

it('no span, line or metric has a prompt, an answer or a key', () => {
  const told = JSON.stringify([collector.spans, processes.map(({ logs }) => logs), exposed]);
  expect(answers).toHaveLength(1);
  for (const secret of [PROMPT, key.text, ...answers]) {
    expect(secret.length).toBeGreaterThan(8);
    expect(told).not.toContain(secret);
  }
  expect(exposed).toContain('qarr_jobs_total');
  expect(collector.headers['x-collector-key']).toBe('a key');
});

it('docs/tracing.md lists what there is, and nothing else', () => {
  const page = readFileSync(new URL('../../docs/tracing.md', import.meta.url), 'utf8');
  const listed = [...page.matchAll(/^\| `([^`]+)`\s*\|/gm)].map(([, name]) => name);
  const names = collector.spans.map(({ name }) =>
    name.replace(/^(GET|POST|DELETE) .*/, '{method} {route}').replace(/^chat .*/, 'chat {model}'),
  );
  const attributes = collector.spans.flatMap((span) => [
    ...Object.keys(span.attributes),
    ...span.events,
  ]);
  expect(new Set(listed)).toEqual(new Set([...names, ...attributes]));
});
