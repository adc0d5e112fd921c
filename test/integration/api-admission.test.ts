import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openStream, postJson, startApiWorld } from '../harness/api.ts';
import type { ApiProcess, ApiWorld, TestWorker } from '../harness/api.ts';
import { waitUntil } from '../harness/wait-until.ts';
import { ofKind, rendered } from '../kubernetes/objects.ts';

const DEPTH_MAX = 100;

interface Accepted {
  id: string;
  tier: string;
  position: number | null;
  estimated_wait_ms: number | null;
}
interface Tier {
  name: string;
  depth: number;
  alert: boolean;
  breaker: string;
  fallback_jobs: number;
  depth_by_class: Record<string, number>;
}

let world: ApiWorld;
let replica: ApiProcess;
/** The jobs that wait in the tier of this name. */
const precise: string[] = [];
beforeAll(async () => {
  world = await startApiWorld({ QARR_QUEUE_DEPTH_MAX: String(DEPTH_MAX) });
  replica = await world.startApi();
});
afterAll(() => world.stop());

const post = (body: object, api = world.api) =>
  postJson(`${api.url}/v1/jobs`, { prompt: 'Hi', ...body });

async function accepted(body: object): Promise<Accepted> {
  const response = await post(body);
  expect(response.status).toBe(202);
  return (await response.json()) as Accepted;
}

async function tierOf(name: string, api = world.api): Promise<Tier> {
  const { tiers } = (await (await fetch(`${api.url}/v1/tiers`)).json()) as { tiers: Tier[] };
  const tier = tiers.find((candidate) => candidate.name === name);
  if (tier === undefined) throw new Error(`There is no tier ${name}`);
  return tier;
}

const metricsOf = async (api: ApiProcess) => (await fetch(`${api.opsUrl}/metrics`)).text();

const cancel = (id: string) => fetch(`${world.api.url}/v1/jobs/${id}/cancel`, { method: 'POST' });

/** What a refusal says, once its headers were found to say the same. */
async function refusal(response: Response): Promise<Record<string, unknown>> {
  expect(response.status).toBe(503);
  const { error } = (await response.json()) as { error: Record<string, unknown> };
  const retryAfterMs = Number(error['retry_after_ms']);
  expect(retryAfterMs).toBeGreaterThanOrEqual(1_000);
  expect(retryAfterMs).toBeLessThanOrEqual(60_000);
  expect(response.headers.get('retry-after-ms')).toBe(String(retryAfterMs));
  expect(response.headers.get('retry-after')).toBe(String(Math.ceil(retryAfterMs / 1_000)));
  return error;
}

describe('200 requests at once, to two replicas', () => {
  it('do not pass the limit of the queue together', async () => {
    const responses = await Promise.all(
      Array.from({ length: 200 }, (_, index) =>
        post({ tier: 'precise' }, index % 2 === 0 ? world.api : replica),
      ),
    );
    const taken = responses.filter(({ status }) => status === 202);
    expect(taken).toHaveLength(DEPTH_MAX);
    for (const response of taken) precise.push(((await response.json()) as Accepted).id);
    expect(await tierOf('precise')).toMatchObject({ depth: DEPTH_MAX });
    expect(await world.jobIds()).toHaveLength(DEPTH_MAX);
    for (const response of responses.filter(({ status }) => status !== 202)) {
      expect(await refusal(response)).toMatchObject({
        code: 'queue_full',
        type: 'server_error',
        tier: 'precise',
        estimated_wait_ms: null,
        queue_depth: DEPTH_MAX,
      });
    }
  });
});

describe('a tier of which one job is done in a second', () => {
  let worker: TestWorker;
  let above: TestWorker;
  /** Each of these jobs is expected to cost 11 tokens. */
  const busy = { slots: 1, tokens_per_s: 11, output_tokens: 10 };
  const waiting: string[] = [];
  beforeAll(async () => {
    worker = await world.startWorker('fast', busy);
    above = await world.startWorker('balanced', {
      slots: 10,
      tokens_per_s: 1_000,
      output_tokens: 10,
    });
    await Promise.all([tierOf('fast'), tierOf('fast', replica)]);
    await accepted({ tier: 'fast' });
    await worker.next();
  });

  it('alerts from the 16th that waits on, for every replica to see', async () => {
    for (let jobs = 1; jobs <= 15; jobs += 1) waiting.push((await accepted({ tier: 'fast' })).id);
    expect(await tierOf('fast')).toMatchObject({ depth: 15, alert: false });
    expect(await metricsOf(world.api)).toMatch(/^qarr_queue_alert\{tier="fast"\} 0$/m);

    const last = await accepted({ tier: 'fast' });
    waiting.push(last.id);
    expect(last).toMatchObject({ position: 16, estimated_wait_ms: 16_000 });
    for (const api of [world.api, replica]) {
      expect(await tierOf('fast', api)).toMatchObject({
        depth: 16,
        depth_by_class: { interactive: 0, standard: 16, batch: 0 },
        running: 1,
        alert: true,
        estimated_wait_ms: 17_000,
        tokens_per_s: 11,
      });
      const metrics = await metricsOf(api);
      expect(metrics).toMatch(/^qarr_queue_alert\{tier="fast"\} 1$/m);
      expect(metrics).toMatch(/^qarr_queue_depth\{tier="fast",class="standard"\} 16$/m);
      expect(metrics).toMatch(/^qarr_jobs_running\{tier="fast",class="standard"\} 1$/m);
      expect(metrics).toMatch(/^qarr_estimated_wait_seconds\{tier="fast",class="standard"\} 17$/m);
    }
  });

  it('shows what the autoscaler of deploy/kubernetes asks for', async () => {
    const metrics = await metricsOf(world.api);
    const asked = ofKind(rendered('gpu'), 'ScaledObject').flatMap(({ spec }) => [
      ...String(spec.triggers[0].metadata.query).matchAll(/(\w+)\{(tier="\w+"),class!="batch"\}/g),
    ]);
    expect(asked).toHaveLength(6);
    for (const [, name, tier] of asked)
      expect(metrics).toContain(`${name}{${tier},class="standard"}`);
  });

  it('takes no batch then, and says so when it is asked', async () => {
    const body = { tier: 'fast', class: 'batch' };
    const error = await refusal(await post(body));
    expect(error).toMatchObject({ code: 'batch_paused', tier: 'fast', queue_depth: 16 });
    const route = await postJson(`${world.api.url}/v1/route`, { prompt: 'Hi', ...body });
    expect(await route.json()).toMatchObject({
      tier: 'fast',
      admission: { kind: 'refuse', tier: 'fast', reason: 'batch_paused' },
    });
  });

  it('sends on what may go up, as much as the other tier takes, and shows it', async () => {
    const response = await post({ class: 'interactive' }, replica);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'x-qarr-tier': 'balanced',
      'x-qarr-route': 'default',
      'x-qarr-fallback': 'from=fast, to=balanced, reason=depth_alert',
    });
    const job = (await response.json()) as Accepted;
    const rerouted = { from: 'fast', reason: 'depth_alert' };
    expect(job).toMatchObject({ tier: 'balanced', rerouted });
    const record = await (await fetch(`${world.api.url}/v1/jobs/${job.id}`)).json();
    expect(record).toMatchObject({ tier: 'balanced', requested_tier: null, rerouted });
    const stream = await openStream(`${world.api.url}/v1/jobs/${job.id}/events`);
    await stream.until('event: rerouted');
    expect(stream.text).toContain(
      'id: 2\nevent: rerouted\ndata: {"type":"rerouted","from":"fast","to":"balanced","reason":"depth_alert"}\n\n',
    );
    stream.leave();
    const counted = /^qarr_fallback_total\{from="fast",to="balanced",reason="depth_alert"\} 1$/m;
    expect(await metricsOf(replica)).toMatch(counted);

    // A fifth of the ten slots there.
    expect(await accepted({ class: 'interactive' })).toMatchObject({ tier: 'balanced' });
    expect(await tierOf('balanced')).toMatchObject({ fallback_jobs: 2 });
    const third = await accepted({ class: 'interactive' });
    expect(third).toMatchObject({ tier: 'fast', position: 1 });
    await cancel(third.id);
  });

  it('sends on a chat, and tells it in its headers', async () => {
    await (await above.next()).complete();
    await waitUntil('there is room', async () => (await tierOf('balanced')).fallback_jobs === 1);
    const chat = await openStream(`${world.api.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ prompt: 'Hi', stream: true }),
    });
    expect(chat.response.headers.get('x-qarr-tier')).toBe('balanced');
    expect(chat.response.headers.get('x-qarr-fallback')).toContain('from=fast');
    expect(await tierOf('balanced')).toMatchObject({ fallback_jobs: 2 });
    chat.leave();
  });

  it('refuses pinned work that it cannot start in time, until it can', async () => {
    const error = await refusal(await post({ tier: 'fast', queue_timeout_ms: 5_000 }));
    expect(error).toMatchObject({ code: 'overloaded', tier: 'fast', queue_depth: 16 });
    const asked = { prompt: 'Hi', tier: 'fast', class: 'standard', queue_timeout_ms: 5_000 };
    const route = await (await postJson(`${world.api.url}/v1/route`, asked)).json();
    expect(route).toMatchObject({ admission: { kind: 'refuse', reason: 'wait_too_long' } });
    // Interactive work that arrives makes a standard job wait somewhat longer.
    expect(error['estimated_wait_ms']).toBeGreaterThanOrEqual(17_000);
    const untilItCanMs = Number(error['estimated_wait_ms']) - 4_000;
    expect(error['retry_after_ms']).toBeGreaterThanOrEqual(Math.floor(untilItCanMs * 0.8));
    expect(error['retry_after_ms']).toBeLessThanOrEqual(Math.ceil(untilItCanMs * 1.2));
    expect(await metricsOf(world.api)).toMatch(/^qarr_refused_total\{code="overloaded"\} 1$/m);
  });

  it('tells those who follow a job that waits where it stands, in no log', async () => {
    const id = waiting.at(-1) ?? '';
    const stream = await openStream(`${world.api.url}/v1/jobs/${id}/events`);
    await stream.until('event: queued');
    await cancel(waiting.shift() ?? '');
    await stream.until('event: position');
    expect(stream.text).toMatch(
      // A heartbeat may stand right before it.
      /\nevent: position\ndata: \{"type":"position","position":15,"estimated_wait_ms":\d+\}\n\n/,
    );
    const job = await (await fetch(`${world.api.url}/v1/jobs/${id}`)).json();
    expect(job).toMatchObject({ position: 15, estimated_wait_ms: expect.any(Number) });
    expect(await world.redis.xlen(`qarr:{${id}}:log`)).toBe(1);

    await cancel(id);
    waiting.pop();
    await stream.end();
    expect(stream.text.match(/^id: \d+$/gm)).toEqual(['id: 1', 'id: 2']);
    expect(stream.text.slice(stream.text.indexOf('event: cancelled'))).not.toContain('position');
  });

  it('is calm again when half of them are gone, and takes batches', async () => {
    while (waiting.length > 8) await cancel(waiting.pop() ?? '');
    expect(await tierOf('fast')).toMatchObject({ depth: 8, alert: true });
    await cancel(waiting.pop() ?? '');
    expect(await tierOf('fast')).toMatchObject({ depth: 7, alert: false });
    await accepted({ tier: 'fast', class: 'batch' });
    expect(await accepted({ class: 'interactive' })).toMatchObject({ tier: 'fast', position: 1 });
  });
});

describe('a tier whose breaker is open', () => {
  it('refuses what may not wait so long, until the next try', async () => {
    await world.startWorker('precise', { breaker: 'open', slots: 1, retry_in_ms: 45_000 });
    await Promise.all(precise.map(cancel));
    expect(await tierOf('precise')).toMatchObject({ depth: 0, breaker: 'open' });
    const error = await refusal(await post({ tier: 'precise', class: 'interactive' }));
    expect(error).toMatchObject({ code: 'tier_unavailable', estimated_wait_ms: 50_000 });
    // Drawn apart by a fifth.
    expect(error['retry_after_ms']).toBeGreaterThanOrEqual(40_000);
    expect(error['retry_after_ms']).toBeLessThanOrEqual(60_000);
    // Five minutes are enough.
    expect(await accepted({ tier: 'precise' })).toMatchObject({ tier: 'precise' });
    // Down only by consent.
    const below = await accepted({ tier: 'precise', class: 'interactive', fallback: 'down' });
    expect(below).toMatchObject({ rerouted: { from: 'precise', reason: 'breaker_open' } });
    expect(['fast', 'balanced']).toContain(below.tier);
  });
});

describe('the class of a job', () => {
  it.each(['interactive', 'standard', 'batch'])('may be %s', async (jobClass) => {
    const before = (await tierOf('precise')).depth_by_class[jobClass] ?? 0;
    const { id } = await accepted({ tier: 'precise', class: jobClass, queue_timeout_ms: 600_000 });
    expect((await tierOf('precise')).depth_by_class[jobClass]).toBe(before + 1);
    const job = await (await fetch(`${world.api.url}/v1/jobs/${id}`)).json();
    expect(job).toMatchObject({ class: jobClass, status: 'queued' });
  });

  it.each([
    ['class', 'urgent', 'class must be one of interactive, standard, batch.'],
    ['fallback', 'sideways', 'fallback must be one of none, up, down, any.'],
    ['queue_timeout_ms', 0, 'queue_timeout_ms must be a whole number from 1 to 86400000.'],
  ])('and what goes with it are checked: %s', async (field, value, message) => {
    for (const path of ['/v1/jobs', '/v1/route']) {
      const response = await postJson(world.api.url + path, { prompt: 'Hi', [field]: value });
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({
        error: { code: 'invalid_request', param: field, message },
      });
    }
  });
});
