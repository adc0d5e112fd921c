/** `/v1/responses` on the wire: what is kept and for whom, and what is refused in which words. */
import { randomUUID } from 'node:crypto';
import { createProducerStore } from '@qarr/job-store';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openStream, postJson, startApiWorld } from '../harness/api.ts';
import type { ApiWorld, TestAttempt, TestWorker } from '../harness/api.ts';
import { ANYWHERE, newJob } from '../harness/store.ts';
import { waitUntil } from '../harness/wait-until.ts';

let world: ApiWorld;
let worker: TestWorker;
let url: string;

beforeAll(async () => {
  world = await startApiWorld();
  worker = await world.startWorker('fast');
  url = `${world.api.url}/v1/responses`;
});
afterAll(() => world.stop());

/** Its tier has no worker: what is sent there waits. */
const WAITS = { model: 'precise', input: 'Hello' };

interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown> & { id: string; error: Record<string, unknown> };
}

async function read(response: Response | Promise<Response>): Promise<Answer> {
  const { status, text } = await (async () => {
    const answer = await response;
    return { status: answer.status, text: await answer.text() };
  })();
  return { status, body: JSON.parse(text) as Answer['body'] };
}
const post = (body: object, init?: RequestInit) => read(postJson(url, body, init));
const stateOf = (jobId: string) => world.redis.hget(`qarr:{${jobId}}:job`, 'state');
const get = (path: string) => read(fetch(`${url}/${path}`));
const cancel = (id: string) =>
  // As OpenAI's client for Python sends it: a content type, and nothing of it.
  read(
    fetch(`${url}/${id}/cancel`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
    }),
  );

/** One that has been answered, or has failed. */
async function ended(fields: object, end: 'complete' | 'fail' = 'complete'): Promise<Answer> {
  const answering = post({ input: 'Hello', ...fields });
  const attempt = await worker.next();
  await attempt.say('Hi.');
  await (end === 'complete' ? attempt.complete() : attempt.fail('upstream_error'));
  return answering;
}

async function inBackground(end: 'complete' | 'fail' = 'complete'): Promise<string> {
  const { body } = await ended({ background: true }, end);
  await waitUntil(
    'it has ended',
    async () => (await get(body.id)).body['status'] !== 'in_progress',
  );
  return body.id;
}

const refusal = (message: string, param: string | null = null) => ({
  status: 400,
  body: { error: { message, type: 'invalid_request_error', param } },
});
const unknown = (id: string) => ({
  status: 404,
  body: {
    error: { message: `Response with id '${id}' not found.`, type: 'invalid_request_error' },
  },
});

describe('a response that is not stored', () => {
  it('is answered once, whole or as a stream, and nothing of it stays', async () => {
    const { body } = await ended({ store: false });
    expect(body).toMatchObject({ status: 'completed', store: false });
    expect(await get(body.id)).toMatchObject(unknown(body.id));

    const reader = await openStream(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ input: 'Hello', store: false, stream: true }),
    });
    await (await worker.next()).complete();
    expect(await reader.end()).toContain('event: response.completed');
    await waitUntil('its job is gone', async () => (await world.jobIds()).length === 0);
  });

  it('is gone with its reader too', async () => {
    const reader = await openStream(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ ...WAITS, store: false, stream: true }),
    });
    await reader.until('response.queued');
    const [jobId = ''] = await world.jobIds();
    // Also while it is there.
    expect((await get(jobId.replace('job_', 'resp_'))).status).toBe(404);
    reader.leave();
    await waitUntil('its job is gone', async () => (await world.jobIds()).length === 0);
  });

  it('is there until its worker has said what it cost', async () => {
    const reader = await openStream(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ input: 'Hello', store: false, stream: true }),
    });
    const attempt = await worker.next();
    await attempt.say('Hi.');
    await reader.until('Hi.');
    reader.leave();
    await waitUntil('the worker is told', () => attempt.stopped === 'told');
    // Throws where there is no such job any more.
    await attempt.giveUp(1);
    await waitUntil('its job is gone', async () => (await stateOf(attempt.job.jobId)) === null);
  });

  it('with an Idempotency-Key is there for whoever sends it again', async () => {
    const headers = { 'content-type': 'application/json', 'idempotency-key': 'once' };
    const first = post({ input: 'Hello', store: false }, { headers });
    const attempt = await worker.next();
    await attempt.say('Hi.');
    await attempt.complete();
    const { body } = await first;
    expect(await post({ input: 'Hello', store: false }, { headers })).toEqual({
      status: 200,
      body,
    });
    expect(await get(body.id)).toMatchObject(unknown(body.id));
  });

  it('cannot be in the background', async () => {
    expect(await post({ input: 'Hello', store: false, background: true })).toMatchObject({
      status: 400,
      body: { error: { param: 'background', code: 'unsupported_parameter' } },
    });
  });
});

describe('a stream from an event on', () => {
  it('is for responses in the background, however they were made', async () => {
    const { body } = await ended({});
    expect(await get(`${body.id}?stream=true`)).toMatchObject(
      refusal(
        'This response cannot be streamed because it was not created with background=true.',
        'stream',
      ),
    );
    const id = await inBackground();
    const whole = await (await openStream(`${url}/${id}?stream=true`)).end();
    expect(whole).toMatch(/^: hb\nevent: response\.created\ndata: \{.*"sequence_number":0\}\n\n/);
    expect(whole).not.toMatch(/^(?:id|retry):/m);
    const rest = whole.slice(whole.indexOf('event: response.output_text.done'));
    const after = /"sequence_number":(\d+)\}$/m.exec(rest)?.[1] ?? '';
    const cursor = String(Number(after) - 1);
    for (const [query, headers] of [
      [`&starting_after=${cursor}`, {}],
      ['&include_obfuscation=false&include=x', { 'last-event-id': cursor }],
    ] as const) {
      const reader = await openStream(`${url}/${id}?stream=true${query}`, { headers });
      expect(await reader.end()).toBe(`: hb\n${rest}`);
    }
    const end = await openStream(`${url}/${id}?stream=true&starting_after=9999`);
    expect([end.response.status, await end.end()]).toEqual([200, ': hb\n']);
    expect(await get(`${id}?stream=true&starting_after=-1`)).toMatchObject({
      status: 400,
      body: { error: { param: 'starting_after' } },
    });
  });

  it('is made of the result where its log is gone', async () => {
    const id = await inBackground();
    await world.redis.del(`qarr:{${id.replace('resp_', 'job_')}}:log`);
    const whole = await (await openStream(`${url}/${id}?stream=true`)).end();
    expect(whole).toContain('"delta":"Hi."');
    expect(whole).toContain('event: response.completed');
    const rest = await (await openStream(`${url}/${id}?stream=true&starting_after=5000`)).end();
    expect(rest).toMatch(/^: hb\nevent: response\.completed\n.*"sequence_number":5001\}\n\n$/);
    expect((await get(id)).body).toMatchObject({ status: 'completed' });
  });
});

describe('a response that begins anew', () => {
  /** Its first attempt has said more than is read of a log at once. */
  const VOID = 'void '.repeat(2_000);

  async function begunAnew(): Promise<{ id: string; attempt: TestAttempt }> {
    const { id } = (await post({ input: 'Hello', background: true })).body;
    const jobId = id.replace('resp_', 'job_');
    const first = await worker.next(jobId);
    await first.say(VOID);
    await first.say('void');
    await first.handBack();
    const attempt = await worker.next(jobId);
    await attempt.say('Anew');
    return { id, attempt };
  }

  it('is followed without what is void, by whoever has nothing of it', async () => {
    const { id, attempt } = await begunAnew();
    const reader = await openStream(`${url}/${id}?stream=true`);
    await reader.until('"delta":"Anew"');
    await attempt.complete();
    const whole = await reader.end();
    expect(whole).not.toContain('void');
    const { body } = await get(id);
    expect(body).toMatchObject({ status: 'completed', output: [{ content: [{ text: 'Anew' }] }] });
    expect(whole).toContain(JSON.stringify(body['output']));
    const after = async (known: number) =>
      (await openStream(`${url}/${id}?stream=true&starting_after=${known}`)).end();
    const rest = whole.slice(whole.indexOf('event: response.output_item.added'));
    expect(await after(2)).toBe(`: hb\n${rest}`);
    expect(await after(3)).toMatch(/^: hb\nevent: error\n.*upstream_interrupted.*\n\n$/);
    expect(await after(9999)).toBe(': hb\n');
  });

  it('ends as its job does', async () => {
    const [failing, leaving] = [await begunAnew(), await begunAnew()];
    await failing.attempt.fail('upstream_error');
    const output = [{ content: [{ text: 'Anew' }] }];
    expect((await get(failing.id)).body).toMatchObject({ status: 'failed', output });
    const cancelling = cancel(leaving.id);
    await waitUntil('the worker is told', () => leaving.attempt.stopped === 'told');
    await leaving.attempt.giveUp(1);
    expect((await cancelling).body).toMatchObject({ status: 'cancelled', output });
  });
});

describe('a cancellation', () => {
  it('is for what is in the background, and goes on', async () => {
    const { body } = await ended({});
    expect(await cancel(body.id)).toMatchObject(refusal('Cannot cancel a synchronous response.'));
    expect(await cancel(await inBackground())).toMatchObject(
      refusal('Cannot cancel a completed response.'),
    );
    expect(await cancel(await inBackground('fail'))).toMatchObject(
      refusal('Cannot cancel a failed response.'),
    );
    const { body: waiting } = await post({ ...WAITS, background: true });
    const cancelled = { status: 200, body: { status: 'cancelled', output: [], error: null } };
    expect(await cancel(waiting.id)).toMatchObject(cancelled);
    expect(await cancel(waiting.id)).toMatchObject(cancelled);
  });
});

describe('a deletion', () => {
  it('takes all of it, also what waits', async () => {
    const { body } = await post({ ...WAITS, background: true });
    expect(await read(fetch(`${url}/${body.id}`, { method: 'DELETE' }))).toEqual({
      status: 200,
      body: { id: body.id, object: 'response', deleted: true },
    });
    expect(await get(body.id)).toMatchObject(unknown(body.id));
    expect(await read(fetch(`${url}/${body.id}`, { method: 'DELETE' }))).toMatchObject({
      status: 404,
    });
  });
});

describe('an Idempotency-Key', () => {
  it('stands for its response also where what that went on from is gone', async () => {
    const { body: first } = await ended({});
    const body = { previous_response_id: first.id };
    const headers = { 'content-type': 'application/json', 'idempotency-key': 'on' };
    const answering = post({ input: 'More', ...body }, { headers });
    await (await worker.next()).complete();
    const answer = await answering;
    await fetch(`${url}/${first.id}`, { method: 'DELETE' });
    expect(await post({ input: 'More', ...body }, { headers })).toEqual(answer);
    expect(await post({ input: 'More', ...body })).toMatchObject({ status: 404 });
  });
});

describe('what was asked', () => {
  it('is listed in pages', async () => {
    const call = { type: 'function_call', call_id: 'a', name: 'f', arguments: '{}' };
    const input = [
      { role: 'user', content: 'One' },
      call,
      { type: 'function_call_output', call_id: 'a', output: 'Two' },
    ];
    const { body } = await post({ ...WAITS, background: true, instructions: 'Be kind', input });
    const items = await get(`${body.id}/input_items?order=asc`);
    expect(items.body).toMatchObject({
      object: 'list',
      data: [
        { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'One' }] },
        call,
        { type: 'function_call_output', call_id: 'a', output: 'Two' },
      ],
      has_more: false,
    });
    const page = await get(`${body.id}/input_items?limit=2`);
    expect(page.body).toMatchObject({ data: [{ output: 'Two' }, call], has_more: true });
    const next = await get(`${body.id}/input_items?after=${String(page.body['last_id'])}`);
    expect(next.body).toMatchObject({ data: [{ role: 'user' }], has_more: false });
    expect((await get(`${body.id}/input_items?limit=101`)).status).toBe(400);
    expect(await get(`${body.id}/input_items?after=in_0_0`)).toMatchObject({
      status: 400,
      body: { error: { code: 'invalid_cursor', param: 'after' } },
    });
  });
});

describe('what somebody may not see', () => {
  it('is as unknown as what never was', async () => {
    const store = await createProducerStore({
      redisUrl: world.redisServer.url,
      tiers: ['fast', 'balanced', 'precise'],
      replicaId: randomUUID(),
      onError: () => {},
    });
    const foreign = newJob({
      owner: 'somebody',
      tier: 'precise',
      response: {
        background: true,
        stream: true,
        store: true,
        isInstructed: false,
        inputMessages: 1,
        previousResponseId: null,
        serviceTier: 'default',
        truncation: 'disabled',
        user: null,
      },
    });
    const { id: own } = (await read(postJson(`${world.api.url}/v1/jobs`, { prompt: 'Hello' })))
      .body;
    await store.submit(foreign, ANYWHERE);
    await store.stop();
    // Of somebody else, of no response, and of nobody.
    for (const jobId of [foreign.id, own, 'job_0', 'job_../x']) {
      const id = encodeURIComponent(jobId.replace('job_', 'resp_'));
      const shown = decodeURIComponent(id);
      expect(await get(id)).toMatchObject(unknown(shown));
      expect(await get(`${id}?stream=true`)).toMatchObject(unknown(shown));
      expect(await cancel(id)).toMatchObject(unknown(shown));
      expect(await get(`${id}/input_items`)).toMatchObject(unknown(shown));
      expect(await read(fetch(`${url}/${id}`, { method: 'DELETE' }))).toMatchObject(unknown(shown));
      expect(await post({ input: 'Hello', previous_response_id: shown })).toMatchObject({
        status: 404,
        body: {
          error: {
            message: `Previous response with id '${shown}' not found.`,
            param: 'previous_response_id',
            code: 'previous_response_not_found',
          },
        },
      });
      const item = { type: 'item_reference', id: `msg_${shown.slice('resp_'.length)}_0` };
      expect(await post({ input: [item] })).toMatchObject({
        status: 404,
        body: { error: { message: `Item with id '${item.id}' not found.`, param: 'input' } },
      });
    }
    expect(await world.redis.hget(`qarr:{${foreign.id}}:job`, 'state')).toBe('queued');
  });

  it('is what has no answer yet, for whoever would go on from it', async () => {
    const { body } = await post({ ...WAITS, background: true });
    expect(await post({ input: 'Hello', previous_response_id: body.id })).toMatchObject({
      status: 404,
      body: { error: { code: 'previous_response_not_found' } },
    });
  });
});

describe('an answer that holds the placeholder of a picture', () => {
  const WORDS = '<|image_pad|>';

  it.each<[what: string, say: (attempt: TestAttempt) => Promise<void>]>([
    ['as text', (attempt) => attempt.say(WORDS)],
    [
      'hidden in a call',
      (attempt) => {
        const called = { name: 'f', arguments: JSON.stringify(WORDS).replace('<', '\\u003c') };
        return attempt.say('', { toolCalls: [{ index: 0, id: 'call_1', function: called }] });
      },
    ],
  ])('does not come to an engine by going on from it: %s', async (_what, say) => {
    const { id } = (await post({ input: 'Hello', background: true })).body;
    const attempt = await worker.next(id.replace('resp_', 'job_'));
    await say(attempt);
    await attempt.complete();
    const { body } = await get(id);
    const [item] = body['output'] as { id: string }[];
    const before = await world.jobIds();
    for (const [param, fields] of [
      ['previous_response_id', { input: 'Hello', previous_response_id: id }],
      ['input', { input: [{ type: 'item_reference', id: item?.id }] }],
    ] as const) {
      const message = `What ${param} refers to must not hold the placeholder of a picture, a video or a sound, such as <|image_pad|>.`;
      expect(await post(fields)).toMatchObject(refusal(message, param));
    }
    expect(await world.jobIds()).toHaveLength(before.length);
  });
});

describe('a response that cannot be read once it is written', () => {
  // Redis answers all but this, and this for all keys but those of jobs.
  const rules = {
    lock: ['-hgetall', '(+hgetall ~qarr:{[^j]* ~{qarr:*)'],
    unlock: ['clearselectors', '+@all'],
  };
  const permit = (rule: keyof typeof rules) =>
    world.redis.call('ACL', 'SETUSER', 'default', ...rules[rule]);

  it.each([
    [
      'is cancelled where nobody waits for it any more',
      {},
      'cancelled',
      'What was accepted of this request is cancelled: send it again.',
    ],
    [
      'goes on in the background',
      { background: true },
      'queued',
      'The job may or may not have been accepted: sending it again may make a second one, which an Idempotency-Key prevents.',
    ],
  ])('%s, as its client is told', async (_what, fields, state, advice) => {
    const before = await world.jobIds();
    await permit('lock');
    const answer = await post({ ...WAITS, ...fields });
    await permit('unlock');
    const message = `The queue does not answer. ${advice}`;
    expect(answer).toMatchObject({
      status: 503,
      body: { error: { code: 'queue_unavailable', message } },
    });
    const [made = ''] = (await world.jobIds()).filter((id) => !before.includes(id));
    await waitUntil(`it is ${state}`, async () => (await stateOf(made)) === state);
  });
});

describe('a request', () => {
  it.each([
    [{}, 'input'],
    [{ input: [{ role: 'robot', content: 'Hello' }] }, 'input.0.role'],
    [{ input: 'Hello', max_output_tokens: 'many' }, 'max_output_tokens'],
    [{ input: 'Hello', tools: [{ type: 'web_search' }] }, 'tools.0.type'],
  ])('that is wrong is refused by the name of its field: %j', async (body, param) => {
    expect(await post(body)).toMatchObject({
      status: 400,
      body: { error: { type: 'invalid_request_error', param } },
    });
  });

  it('says how it may be run', async () => {
    const background = await post({ ...WAITS, background: true });
    const flex = await post({ ...WAITS, background: true, service_tier: 'flex', fallback: 'any' });
    expect([background, flex].map(({ body }) => body['service_tier'])).toEqual(['default', 'flex']);
    const job = await fetch(`${world.api.url}/v1/jobs/${flex.body.id.replace('resp_', 'job_')}`);
    expect(await job.json()).toMatchObject({ class: 'standard', fallback: 'any' });
  });
});
