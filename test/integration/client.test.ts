/** The client against the real API, over a network that is cut and replicas that are killed. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { QarrClientError, createClient } from '@qarr/client';
import type { BreakerChange, ClientOptions, QarrClient, StreamEvent } from '@qarr/client';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { startApiWorld } from '../harness/api.ts';
import type { ApiWorld, TestWorker } from '../harness/api.ts';
import { KEY_SECRET, openKeys } from '../harness/api-keys.ts';
import { startTcpProxy } from '../harness/tcp-proxy.ts';
import type { TcpProxy } from '../harness/tcp-proxy.ts';
import { waitUntil } from '../harness/wait-until.ts';

const DEPTH_MAX = 5;
const HELLO = { prompt: 'Hello', tier: 'fast' };
const CLI = fileURLToPath(new URL('../../apps/cli/src/main.ts', import.meta.url));
const USER = fileURLToPath(new URL('../harness/client-that-gives-up.ts', import.meta.url));

let world: ApiWorld;
let worker: TestWorker;
beforeAll(async () => {
  world = await startApiWorld({ QARR_QUEUE_DEPTH_MAX: String(DEPTH_MAX) });
  worker = await world.startWorker('fast');
});
afterAll(() => world.stop());

function clientOf(options: Partial<ClientOptions> = {}): QarrClient {
  return createClient({ baseUrl: world.api.url, ...options });
}

/** Reads a stream to its end beside what a test does. */
function collect(events: AsyncIterable<StreamEvent>) {
  const seen: StreamEvent[] = [];
  const done = (async () => {
    for await (const event of events) seen.push(event);
    return seen;
  })();
  return { seen, done };
}

function numbersOf(events: readonly StreamEvent[]): number[] {
  return events.flatMap((event) => ('seq' in event ? [event.seq] : []));
}

function textOf(events: readonly StreamEvent[]): string {
  return events.map((event) => (event.type === 'delta' ? event.text : '')).join('');
}

function upTo(last: number): number[] {
  return Array.from({ length: last }, (_, index) => index + 1);
}

async function failureOf(call: Promise<unknown>): Promise<QarrClientError> {
  const error: unknown = await call.then(
    () => null,
    (problem: unknown) => problem,
  );
  if (error instanceof QarrClientError) return error;
  throw new Error(`Not a client error: ${String(error)}`);
}

async function startProxy(): Promise<TcpProxy> {
  const proxy = await startTcpProxy({ targetPort: world.api.port });
  onTestFinished(() => proxy.stop());
  return proxy;
}

describe('a stream', () => {
  it('is whole over a network that is cut all the time', async () => {
    const proxy = await startProxy();
    const client = clientOf({ baseUrl: `http://127.0.0.1:${proxy.port}` });
    const job = await client.submit(HELLO);
    const { seen, done } = collect(client.stream(job));
    const attempt = await worker.next(job.id);
    const cutting = setInterval(() => {
      if (Math.random() < 0.3) proxy.reset();
    }, 20);
    onTestFinished(() => clearInterval(cutting));
    const words = Array.from({ length: 80 }, (_, index) => `${index} `);
    for (const word of words) await attempt.say(word);
    clearInterval(cutting);
    await attempt.complete();
    await done;
    expect(proxy.counts.reset).toBeGreaterThan(0);
    expect(textOf(seen)).toBe(words.join(''));
    // `queued`, `started` and the end.
    expect(numbersOf(seen)).toEqual(upTo(words.length + 3));
    expect(seen.at(-1)).toMatchObject({ type: 'completed', finish_reason: 'stop' });
  });

  it('goes on at another replica when its own is killed', async () => {
    const first = await world.startApi();
    const client = clientOf({ baseUrl: [first.url, world.api.url] });
    const job = await client.submit(HELLO);
    const attempt = await worker.next(job.id);
    const { seen, done } = collect(client.stream(job));
    await attempt.say('before ');
    await waitUntil('the text arrives', () => textOf(seen) === 'before ');
    first.kill('SIGKILL');
    await attempt.say('after');
    await attempt.complete();
    await done;
    expect(textOf(seen)).toBe('before after');
    expect(numbersOf(seen)).toEqual(upTo(5));
  });

  it('is taken up from any event on, also when all is over', async () => {
    const client = clientOf();
    const job = await client.submit(HELLO);
    const attempt = await worker.next(job.id);
    await attempt.say('a');
    await attempt.say('b');
    await attempt.complete();
    const rest = await collect(client.stream(job.id, { after: 3 })).done;
    expect(numbersOf(rest)).toEqual([4, 5]);
    expect(await collect(client.stream(job.id, { after: 5 })).done).toEqual([]);
    expect(await failureOf(client.stream(job.id, { after: 6 }).next())).toMatchObject({
      code: 'invalid_cursor',
      status: 400,
    });
    await world.redis.del(`qarr:{${job.id}}:log`);
    expect(await failureOf(client.stream(job).next())).toMatchObject({
      code: 'events_gone',
      jobId: job.id,
    });
    expect(await client.wait(job)).toMatchObject({ status: 'completed', result: { text: 'ab' } });
  });

  it('tells where a job stands that waits', async () => {
    const client = clientOf();
    const jobs = [await client.submit({ ...HELLO, tier: 'balanced' })];
    jobs.push(await client.submit({ ...HELLO, tier: 'balanced' }));
    const [first, second] = jobs;
    if (first === undefined || second === undefined) throw new Error('No jobs');
    const { seen, done } = collect(client.stream(second));
    await waitUntil('it is followed', () => seen.length > 0);
    await client.cancel(first);
    await waitUntil('it has moved up', () =>
      seen.some((event) => event.type === 'position' && event.position === 1),
    );
    await client.cancel(second);
    await done;
    expect(seen.at(-1)).toMatchObject({ type: 'cancelled', ran: false, seq: 2 });
  });
});

describe('a submission', () => {
  it('makes one job when its answer gets lost', async () => {
    const proxy = await startProxy();
    const before = (await world.jobIds()).length;
    await proxy.apply({ kind: 'black_hole', direction: 'down' });
    const submitting = clientOf({ baseUrl: `http://127.0.0.1:${proxy.port}` }).submit(HELLO);
    await waitUntil('the job is there', async () => (await world.jobIds()).length > before);
    proxy.reset();
    await proxy.heal();
    const job = await submitting;
    expect((await world.jobIds()).length).toBe(before + 1);
    const attempt = await worker.next(job.id);
    await attempt.complete();
  });

  it('comes back when the API says so, and not before', async () => {
    const filling = clientOf();
    const request = { prompt: 'x', tier: 'precise', max_tokens: 1 };
    // So quick that there will be room in a second.
    const quick = { slots: 1, tokens_per_s: 1_000, output_tokens: 1 };
    const attempt = (await world.startWorker('precise', quick)).next();
    // The API has heard of it.
    await filling.tiers();
    const jobs = [await filling.submit(request)];
    await attempt;
    for (let more = 0; more < DEPTH_MAX; more += 1) jobs.push(await filling.submit(request));
    const tries: { atMs: number; told: number }[] = [];
    const client = clientOf({
      async fetch(url, init) {
        const response = await fetch(url, init);
        const told = Number(response.headers.get('retry-after-ms'));
        tries.push({ atMs: performance.now(), told });
        return response;
      },
    });
    const submitting = client.submit(request);
    await waitUntil('it is refused', () => tries.length > 0);
    await filling.cancel(jobs[1] ?? '');
    const job = await submitting;
    const [first, second] = tries;
    expect(first?.told).toBeGreaterThan(0);
    expect((second?.atMs ?? 0) - (first?.atMs ?? 0)).toBeGreaterThanOrEqual((first?.told ?? 0) - 1);
    await Promise.all([...jobs.slice(1), job].map((each) => filling.cancel(each)));
    await (await attempt).complete();

    const impatient = clientOf({ maxRetries: 0 });
    expect(await failureOf(impatient.submit({ prompt: '' }))).toMatchObject({
      code: 'invalid_request',
      status: 400,
      retryable: false,
      param: 'prompt',
      requestId: expect.stringMatching(/^req_/),
    });
  });
});

describe('the other calls', () => {
  it('wait for a job, cancel it, and look things up', async () => {
    const client = clientOf();
    const job = await client.submit({ ...HELLO, metadata: { of: 'mine' } });
    const waiting = client.wait(job);
    const attempt = await worker.next(job.id);
    await attempt.say('Hi');
    expect(await client.get(job)).toMatchObject({ status: 'running', result: null });
    await attempt.complete();
    expect(await waiting).toMatchObject({
      id: job.id,
      status: 'completed',
      metadata: { of: 'mine' },
      result: { text: 'Hi', finish_reason: 'stop' },
    });
    expect(await client.cancel(job)).toMatchObject({ status: 'completed', ran: true });
    expect(await client.route({ prompt: 'Hello' })).toMatchObject({ tier: 'fast' });
    const { tiers } = await client.tiers();
    expect(tiers.map(({ name }) => name)).toEqual(['fast', 'balanced', 'precise']);
    for (const unknown of [client.get('job_no'), client.wait('job_no'), client.cancel('job_no')]) {
      expect(await failureOf(unknown)).toMatchObject({ code: 'job_not_found', status: 404 });
    }
  });
});

describe('a key', () => {
  it('is shown with each request, and a token lets others follow one job', async () => {
    const [api, keys] = await Promise.all([
      world.startApi({ QARR_KEY_SECRETS: KEY_SECRET }),
      openKeys(world.redisServer.url),
    ]);
    onTestFinished(() => keys.stop());
    const key = await keys.make({ owner: 'mine' });
    const owner = clientOf({ baseUrl: api.url, apiKey: key.text });
    const anybody = clientOf({ baseUrl: api.url });
    const denied = { code: 'invalid_api_key', status: 401, retryable: false };
    expect(await failureOf(anybody.submit(HELLO))).toMatchObject(denied);
    const job = await owner.submit(HELLO);
    expect(await failureOf(anybody.stream(job).next())).toMatchObject(denied);

    let asked = 0;
    const token = async () => {
      asked += 1;
      return (await owner.token(job)).token;
    };
    const { done } = collect(anybody.stream(job, { token }));
    const attempt = await worker.next(job.id);
    await attempt.say('Hi');
    await attempt.complete();
    expect(textOf(await done)).toBe('Hi');
    expect(asked).toBe(1);
    const other = await owner.submit(HELLO);
    expect(await failureOf(anybody.stream(other, { token }).next())).toMatchObject(denied);
    const cancelling = owner.cancel(other);
    await (await worker.next(other.id)).giveUp(0);
    expect(await cancelling).toMatchObject({ status: 'cancelled' });
  });
});

describe('a chat', () => {
  it('is answered in the foreground, and ended by whoever gives up', async () => {
    const client = clientOf();
    const chatting = client.chat({ ...HELLO, prompt: 'one' });
    const attempt = await worker.next();
    await attempt.say('Hi');
    await attempt.complete();
    expect(await chatting).toMatchObject({
      model: 'fast',
      choices: [{ index: 0, message: { role: 'assistant', content: 'Hi' }, finish_reason: 'stop' }],
      usage: { completion_tokens: 2 },
      cached: false,
      via: 'foreground',
    });

    const giving = new AbortController();
    const given = failureOf(client.chat({ ...HELLO, prompt: 'two' }, { signal: giving.signal }));
    const second = await worker.next();
    giving.abort();
    expect(await given).toMatchObject({ code: 'aborted' });
    await waitUntil('the worker is told', () => second.stopped === 'told');
    await second.giveUp(0);
  });

  it('goes through the queue while the breaker of its tier is open', async () => {
    const changes: BreakerChange[] = [];
    const client = clientOf({
      maxRetries: 0,
      fallback: 'queue',
      breaker: { resetTimeoutMs: 60_000 },
      onBreakerChange: (change) => changes.push(change),
    });
    await breakFive(client);
    expect(changes).toEqual([{ tier: 'fast', from: 'closed', to: 'open' }]);
    const chatting = client.chat(HELLO);
    const attempt = await worker.next();
    expect((await client.get(attempt.job.jobId)).class).toBe('standard');
    await attempt.say('By the queue');
    await attempt.complete();
    expect(await chatting).toMatchObject({
      id: `chatcmpl-${attempt.job.jobId}`,
      model: 'fast',
      choices: [{ index: 0, message: { content: 'By the queue' }, finish_reason: 'stop' }],
      via: 'queue',
    });

    const failing = failureOf(client.chat(HELLO));
    const second = await worker.next();
    await second.fail('worker_lost');
    expect(await failing).toMatchObject({ code: 'worker_lost', jobId: second.job.jobId });

    const giving = new AbortController();
    const given = failureOf(client.chat(HELLO, { signal: giving.signal }));
    const third = await worker.next();
    giving.abort();
    expect(await given).toMatchObject({ code: 'aborted' });
    await waitUntil('the worker is told', () => third.stopped === 'told');
    await third.giveUp(0);

    expect(await failureOf(client.chat(HELLO, { fallback: 'none' }))).toMatchObject({
      code: 'breaker_open',
      retryAfterMs: expect.any(Number),
    });
  });

  it('gives the last answer while the breaker is open, and asks again when it may', async () => {
    const changes: string[] = [];
    const client = clientOf({
      maxRetries: 0,
      fallback: 'cache',
      breaker: { resetTimeoutMs: 300, successThreshold: 1 },
      onBreakerChange: ({ from, to }) => changes.push(`${from} ${to}`),
    });
    const answering = client.chat(HELLO);
    const attempt = await worker.next();
    await attempt.say('Earlier');
    await attempt.complete();
    const answer = await answering;
    await breakFive(client);
    expect(await client.chat({ tier: 'fast', prompt: 'Hello' })).toEqual({
      ...answer,
      cached: true,
      via: 'cache',
    });
    expect(await failureOf(client.chat({ ...HELLO, max_tokens: 3 }))).toMatchObject({
      code: 'breaker_open',
    });
    // The first that is asked after its time is the probe.
    const probing = waitUntil('the breaker lets one through', async () => {
      const { via, choices } = await client.chat(HELLO);
      return via === 'foreground' ? choices[0]?.message.content : null;
    });
    const probe = await worker.next();
    await probe.say('Later');
    await probe.complete();
    expect(await probing).toBe('Later');
    expect(changes).toEqual(['closed open', 'open half_open', 'half_open closed']);
  });
});

it('is what the qarr command submits and follows jobs with', async () => {
  const asking = qarr('submit', 'Hello', '--tier=fast', '--max-tokens=9', '--wait');
  const attempt = await worker.next();
  expect(attempt.job.request.max_tokens).toBe(9);
  await attempt.say('Hello, ');
  await attempt.say('world!');
  await attempt.complete();
  expect((await asking).stdout).toBe('Hello, world!\n');
  expect((await qarr('stream', attempt.job.jobId)).stdout).toBe('Hello, world!\n');
});

it('leaves nothing open in a process that gives everything up', async () => {
  // It would not end by itself.
  const { stdout } = await promisify(execFile)(process.execPath, [USER, world.api.url], {
    timeout: 20_000,
  });
  expect(JSON.parse(stdout)).toEqual({
    submit: 'aborted',
    stream: 'aborted',
    wait: 'aborted',
    chat: 'aborted',
    backoff: 'aborted',
    left: 'left',
  });
});

async function qarr(...args: string[]) {
  return promisify(execFile)(process.execPath, [CLI, ...args, '--url', world.api.url]);
}

/** Five answers that fail, as the engines of the tier do. */
async function breakFive(client: QarrClient): Promise<void> {
  for (let time = 0; time < 5; time += 1) {
    const chatting = failureOf(client.chat({ ...HELLO, max_tokens: 7 }, { fallback: 'none' }));
    const attempt = await worker.next();
    await attempt.fail('upstream_error');
    expect(await chatting).toMatchObject({ code: 'upstream_error', status: 502 });
  }
}
