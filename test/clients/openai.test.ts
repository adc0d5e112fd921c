/** OpenAI's official client, as it is, against the running API: what only it can do. */
import { randomUUID } from 'node:crypto';
import OpenAI, { APIError } from 'openai';
import type { ChatCompletionChunk, ChatCompletionMessageParam } from 'openai/resources/chat';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { USAGE, postJson, startApiWorld } from '../harness/api.ts';
import type { ApiProcess, ApiWorld, TestWorker } from '../harness/api.ts';
import { waitUntil } from '../harness/wait-until.ts';

let world: ApiWorld;
/** Holds no answer for long, and lets one job wait. */
let impatient: ApiProcess;
let worker: TestWorker;
let client: OpenAI;

beforeAll(async () => {
  world = await startApiWorld({ QARR_HEARTBEAT_MS: '100' });
  const shorter = { QARR_HOLD_MS_MAX: '300', QARR_QUEUE_DEPTH_MAX: '1' };
  [impatient, worker] = await Promise.all([
    world.startApi(shorter),
    world.startWorker('fast', { model: 'org/model' }),
  ]);
  client = clientOf(world.api);
  await waitUntil('the API knows the model', async () => {
    const models = await client.models.list();
    return models.data.some(({ id }) => id === 'org/model');
  });
});
afterAll(() => world.stop());

const messages: ChatCompletionMessageParam[] = [{ role: 'user', content: 'Hello' }];
const request = { model: 'auto', messages };

function clientOf(api: ApiProcess, options: ConstructorParameters<typeof OpenAI>[0] = {}): OpenAI {
  return new OpenAI({ baseURL: `${api.url}/v1`, apiKey: 'unused', maxRetries: 0, ...options });
}

async function answer(texts: string[]): Promise<void> {
  const attempt = await worker.next();
  for (const text of texts) await attempt.say(text);
  await attempt.complete();
}

async function caught(promise: PromiseLike<unknown>): Promise<APIError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof APIError) return error;
    throw error;
  }
  throw new Error('Nothing was thrown');
}

function submit(tier: string): Promise<Response> {
  return postJson(`${impatient.url}/v1/jobs`, { prompt: 'Hello', tier, max_tokens: 1 });
}

/** Jobs that were not there before. */
async function jobsSince(before: readonly string[]): Promise<string[]> {
  return (await world.jobIds()).filter((id) => !before.includes(id));
}

async function jobAs(id: string, field: string): Promise<string | null> {
  return world.redis.hget(`qarr:{${id}}:job`, field);
}

describe('an answer', () => {
  it('is whole, with the id of its request and the time that it took', async () => {
    const answering = answer(['Hello ', 'world']);
    const { data, request_id, response } = await client.chat.completions
      .create(request)
      .withResponse();
    expect(data.choices[0]?.message.content).toBe('Hello world');
    expect(data.choices[0]?.finish_reason).toBe('stop');
    expect(data).toMatchObject({ usage: USAGE, model: 'fast', service_tier: 'default' });
    expect(request_id).toMatch(/^req_/);
    expect(response.headers.get('openai-processing-ms')).toMatch(/^\d+$/);
    await answering;
  });

  it('is streamed, past any heartbeats', async () => {
    const { data: stream, response } = await client.chat.completions
      .create({ ...request, stream: true, stream_options: { include_usage: true } })
      .withResponse();
    expect(response.headers.get('openai-processing-ms')).toMatch(/^\d+$/);
    const attempt = await worker.next();
    const chunks: ChatCompletionChunk[] = [];
    const reading = (async () => {
      for await (const chunk of stream) chunks.push(chunk);
    })();
    await attempt.say('Hel');
    await waitUntil('the first text arrives', () => chunks.length === 2);
    await attempt.say('lo');
    await attempt.complete();
    await reading;
    expect(chunks.map(({ choices }) => choices[0]?.delta.content)).toEqual([
      '',
      'Hel',
      'lo',
      undefined,
      undefined,
    ]);
    expect(chunks.at(-1)?.usage).toEqual(USAGE);
  });

  it('may be asked for in the words of a job, and for less hurry', async () => {
    const extra = {
      service_tier: 'flex' as const,
      metadata: { order: '7' },
      store: true,
      // Of which OpenAI's types know nothing.
      queue_timeout_ms: 60_000,
      run_timeout_ms: 70_000,
      on_interrupt: 'fail',
      fallback: 'any',
    };
    const answering = client.chat.completions.create({ ...request, ...extra });
    const { job, complete } = await worker.next();
    expect(job.onInterrupt).toBe('fail');
    expect(await jobAs(job.jobId, 'class')).toBe('standard');
    expect(await jobAs(job.jobId, 'run_timeout_ms')).toBe('70000');
    expect(await client.get(`/jobs/${job.jobId}`)).toMatchObject({
      class: 'standard',
      fallback: 'any',
      metadata: { order: '7' },
    });
    await complete();
    expect((await answering).service_tier).toBe('flex');
  });

  it('says in every chunk as what it is served', async () => {
    const answering = answer(['Hello']);
    const stream = await client.chat.completions.create({
      ...request,
      stream: true,
      service_tier: 'flex',
    });
    for await (const chunk of stream) expect(chunk.service_tier).toBe('flex');
    await answering;
  });
});

describe('what the client sends beside it', () => {
  it('changes nothing: an organization, a project, and its own headers', async () => {
    const options = { organization: 'org-1', project: 'proj-1' };
    const answering = answer(['Hello']);
    const { choices } = await clientOf(world.api, options).chat.completions.create(request);
    expect(choices[0]?.message.content).toBe('Hello');
    await answering;
  });

  it('may be nothing at all, of the type JSON', async () => {
    const { id } = (await client.post('/jobs', { body: { prompt: 'Hi', tier: 'precise' } })) as {
      id: string;
    };
    const headers = { 'content-type': 'application/json' };
    const path = `/jobs/${id}`;
    expect(await client.post(`${path}/cancel`, { headers })).toMatchObject({ status: 'cancelled' });
    expect(await client.delete(path, { headers })).toMatchObject({ deleted: true });
  });
});

describe('the list of models', () => {
  it('has every name that may be used, also one with a slash', async () => {
    const ids = (await client.models.list()).data.map(({ id }) => id);
    expect(ids).toEqual(['auto', 'fast', 'balanced', 'precise', 'org/model']);
    for (const id of ids) expect(await client.models.retrieve(id)).toMatchObject({ id });
    expect(await client.get('/models/org/model')).toMatchObject({ id: 'org/model' });
  });

  it.each(['gpt-4o', 'org/gpt-4o', '../jobs'])('has no %s', async (id) => {
    expect(await caught(client.models.retrieve(id))).toMatchObject({
      constructor: OpenAI.NotFoundError,
      code: 'model_not_found',
      param: 'model',
      type: 'invalid_request_error',
    });
  });
});

describe('an error', () => {
  it('of a request is of its own class, with code and param', async () => {
    const tooHot = await caught(client.chat.completions.create({ ...request, temperature: 3 }));
    expect(tooHot).toBeInstanceOf(OpenAI.BadRequestError);
    expect(tooHot).toMatchObject({
      code: 'invalid_request',
      param: 'temperature',
      type: 'invalid_request_error',
    });
    expect(tooHot.requestID).toMatch(/^req_/);

    const unknown = await caught(client.chat.completions.create({ ...request, model: 'gpt-4o' }));
    expect(unknown).toBeInstanceOf(OpenAI.NotFoundError);
    expect(unknown).toMatchObject({ code: 'model_not_found', param: 'model' });
  });

  it('of the engine is one of the server', async () => {
    const failing = worker.next().then((attempt) => attempt.fail('upstream_error'));
    const error = await caught(client.chat.completions.create(request));
    expect(error).toBeInstanceOf(OpenAI.InternalServerError);
    expect(error).toMatchObject({ status: 502, code: 'upstream_error' });
    await failing;
  });
});

describe('a request that is sent again', () => {
  it('is not, by itself, where somebody has cancelled it', async () => {
    const before = await world.jobIds();
    const retrying = clientOf(world.api, { maxRetries: 2 });
    const error = caught(retrying.chat.completions.create({ ...request, model: 'precise' }));
    const id = await waitUntil('the job is there', async () => (await jobsSince(before))[0]);
    await client.post(`/jobs/${id}/cancel`);
    expect(await error).toMatchObject({ code: 'job_cancelled' });
    expect(await jobsSince(before)).toEqual([id]);
  });

  it('is, by itself, as soon as it was told when there was no room for it', async () => {
    const busy = await world.startWorker('balanced', { slots: 1, tokens_per_s: 10_000 });
    // By whose rate it is told when to come back.
    await waitUntil('the worker is known', async () => {
      const page = await (await fetch(`${impatient.url}/v1/tiers`)).text();
      return page.includes('"tokens_per_s":10000');
    });
    await submit('balanced');
    const running = await busy.next();
    // As many wait now as may.
    await submit('balanced');
    // On a slow machine there may be no room yet when it comes again.
    const retrying = clientOf(world.api, { baseURL: `${impatient.url}/v1`, maxRetries: 20 });
    const asking = retrying.chat.completions
      .create({ ...request, model: 'balanced', max_tokens: 1, stream: true })
      .withResponse();
    const refused = await waitUntil('it is refused', async () => {
      const page = await (await fetch(`${impatient.opsUrl}/metrics`)).text();
      return /^qarr_refused_total\{code="queue_full"\} [1-9]/m.test(page);
    });
    expect(refused).toBe(true);
    await running.complete();
    await (await busy.next()).complete();
    const { data: stream } = await asking;
    await (await busy.next()).complete();
    for await (const { choices } of stream) expect(choices).toHaveLength(1);
    await busy.stop();
  });

  it('is told when to come back in both of the headers that clients read', async () => {
    const { id } = (await (await submit('precise')).json()) as { id: string };
    const { status, headers } = await submit('precise');
    await client.delete(`/jobs/${id}`);
    expect([status, headers.get('x-should-retry')]).toEqual([503, null]);
    const ms = Number(headers.get('retry-after-ms'));
    expect(ms).toBeGreaterThan(0);
    expect(Number(headers.get('retry-after'))).toBe(Math.ceil(ms / 1_000));
    expect(ms).toBeLessThanOrEqual(60_000);
  });

  it('makes no second job where it has an Idempotency-Key', async () => {
    const before = await world.jobIds();
    const hasty = clientOf(world.api, { maxRetries: 2, timeout: 400 });
    const headers = { 'Idempotency-Key': randomUUID() };
    const answering = hasty.chat.completions.create(request, { headers }).withResponse();
    const attempt = await worker.next();
    // The first one has been given up by now: a further one waits for the same job.
    await waitUntil('it is asked for again', () =>
      world.api.logs.some(
        ({ msg, job_id: job }) =>
          msg === 'request attached to its job' && job === attempt.job.jobId,
      ),
    );
    await attempt.say('Hello');
    await attempt.complete();
    const { data, response } = await answering;
    expect(data.choices[0]?.message.content).toBe('Hello');
    expect(response.headers.get('idempotent-replayed')).toBe('true');
    expect(await jobsSince(before)).toEqual([attempt.job.jobId]);
  });

  it('without one takes the place of the job that it gave up', async () => {
    const hasty = clientOf(world.api, { maxRetries: 1, timeout: 400 });
    const giving = caught(hasty.chat.completions.create(request));
    for (let time = 0; time < 2; time += 1) {
      const attempt = await worker.next();
      await waitUntil('its worker is told', () => attempt.stopped === 'told');
      await attempt.giveUp(1);
    }
    expect(await giving).toBeInstanceOf(OpenAI.APIConnectionTimeoutError);
  });
});

describe('an answer that takes longer than it is waited for', () => {
  it.each([
    ['started', 'run_timeout', 'fast'],
    ['not started', 'queue_timeout', 'precise'],
  ])('is given up with its job, that was %s', async (_how, code, model) => {
    const before = await world.jobIds();
    const retrying = clientOf(impatient, { maxRetries: 2 });
    const asking = caught(retrying.chat.completions.create({ ...request, model }));
    if (model === 'fast') {
      const attempt = await worker.next();
      await waitUntil('its worker is told', () => attempt.stopped === 'told');
      await attempt.giveUp(1);
    }
    const error = await asking;
    expect(error).toMatchObject({ status: 504, code });
    expect(error.headers?.get('x-should-retry')).toBe('false');
    // A library that begins anew by itself would double the work.
    const jobs = await jobsSince(before);
    expect(jobs).toHaveLength(1);
    await waitUntil(
      'it is over',
      async () => (await jobAs(jobs[0] ?? '', 'state')) === 'cancelled',
    );
  });

  it('is waited for again where it has an Idempotency-Key, for as long as it takes', async () => {
    const before = await world.jobIds();
    const retrying = clientOf(impatient, { maxRetries: 10 });
    const headers = { 'Idempotency-Key': randomUUID() };
    const answering = retrying.chat.completions.create(request, { headers });
    const attempt = await worker.next();
    await waitUntil('it is asked for again', () =>
      impatient.logs.some(
        ({ msg, job_id: job }) =>
          msg === 'request attached to its job' && job === attempt.job.jobId,
      ),
    );
    expect(attempt.stopped).toBeNull();
    await attempt.say('Hello');
    await attempt.complete();
    expect((await answering).choices[0]?.message.content).toBe('Hello');
    expect(await jobsSince(before)).toEqual([attempt.job.jobId]);
  });

  it('may be streamed for longer', async () => {
    const stream = await clientOf(impatient).chat.completions.create({ ...request, stream: true });
    const attempt = await worker.next();
    const heard = impatient.logs.length;
    // Another one has been given up meanwhile.
    await caught(clientOf(impatient).chat.completions.create({ ...request, model: 'precise' }));
    expect(impatient.logs.length).toBeGreaterThan(heard);
    expect(attempt.stopped).toBeNull();
    await attempt.say('Hello');
    await attempt.complete();
    let text = '';
    for await (const { choices } of stream) text += choices[0]?.delta.content ?? '';
    expect(text).toBe('Hello');
  });
});
