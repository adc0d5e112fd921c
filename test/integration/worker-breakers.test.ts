import { createServer } from 'node:http';
import type { ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { hostname } from 'node:os';
import { text } from 'node:stream/consumers';
import type { ProducerStore } from '@qarr/job-store';
import { expect, it, onTestFinished } from 'vitest';
import { startEngineProcess } from '../harness/engine-process.ts';
import { createOwnRedis } from '../harness/own-redis.ts';
import { ANYWHERE, createStores, newJob } from '../harness/store.ts';
import { waitUntil } from '../harness/wait-until.ts';
import { startWorkerProcess } from '../harness/worker-process.ts';
import type { WorkerProcess } from '../harness/worker-process.ts';

const PATIENT = { timeoutMs: 45_000, everyMs: 20 };

async function createWorld() {
  const redis = await createOwnRedis();
  const stores = createStores({ redisUrl: redis.url, root: 'qarr' });
  const store = await stores.producer();
  return {
    store,
    startWorker: (environment: Readonly<Record<string, string>>) =>
      startWorkerProcess({ REDIS_URL: redis.url, QARR_WARMUP_REQUESTS: '2', ...environment }),
    async submit(count: number, tokens = 16): Promise<string[]> {
      const messages = [{ role: 'user' as const, content: 'Tell me a story.' }];
      const request = { messages, max_tokens: tokens, temperature: 0, ignore_eos: true };
      const jobs = Array.from({ length: count }, () =>
        newJob({ request, onInterrupt: 'continue', queueTimeoutMs: 600_000 }),
      );
      for (const job of jobs) await store.submit(job, ANYWHERE);
      return jobs.map(({ id }) => id);
    },
    completed: (jobs: readonly string[]) => allCompleted(store, jobs),
  };
}

async function allCompleted(store: ProducerStore, jobs: readonly string[]): Promise<void> {
  const states = () => Promise.all(jobs.map(async (id) => (await store.get(id))?.state));
  await waitUntil(
    'all jobs are over',
    async () => (await states()).every((state) => state !== 'queued' && state !== 'running'),
    PATIENT,
  );
  expect(new Set(await states())).toEqual(new Set(['completed']));
}

type Behaviour = 'works' | 'fails' | 'hangs';

/** An engine that notes when it was asked for more than one answer at a time. */
async function startCountingEngine() {
  const state = {
    behaviour: 'works' as Behaviour,
    chats: 0,
    overlapsMs: [] as number[],
    hanging: [] as ServerResponse[],
  };
  let underWay = 0;
  const server = createServer((request, response) => {
    if (request.url === '/v1/models') return response.end('{"data":[{"id":"m"}]}');
    if (request.url === '/metrics') return response.end('process_start_time_seconds 100\n');
    if (request.url !== '/v1/chat/completions') return response.writeHead(404).end();
    underWay += 1;
    state.chats += 1;
    response.once('close', () => (underWay -= 1));
    if (underWay > 1) state.overlapsMs.push(Date.now());
    // Long enough to be met by another one.
    return void text(request).then(() => setTimeout(answer, 20, response));
  });
  function answer(response: ServerResponse): void {
    if (state.behaviour === 'hangs') return void state.hanging.push(response);
    if (state.behaviour === 'fails') return void response.writeHead(500).end();
    const choice = { index: 0, delta: { content: 'x' }, finish_reason: 'length' };
    const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 };
    response.end(`data: ${JSON.stringify({ choices: [choice], usage })}\n\ndata: [DONE]\n\n`);
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return Object.assign(state, {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
  });
}

const breakerLogs = ({ logs }: WorkerProcess) =>
  logs.filter(({ msg }) => String(msg).startsWith('breaker '));
const breakerOf = (worker: WorkerProcess) => breakerLogs(worker).at(-1)?.['msg'];
const timesMs = (worker: WorkerProcess, msg: string) =>
  breakerLogs(worker).flatMap((line) =>
    line['msg'] === msg ? Date.parse(String(line['time'])) : [],
  );

it('is probed by one worker at a time, also when that dies, and all wait or run', async () => {
  const world = await createWorld();
  const engine = await startCountingEngine();
  const workers = await Promise.all(
    Array.from({ length: 3 }, () =>
      world.startWorker({
        QARR_UPSTREAM_URL: engine.url,
        QARR_CONCURRENCY: '4',
        QARR_BREAKER_OPEN_MS: '300',
        QARR_BREAKER_OPEN_MS_MAX: '300',
        QARR_CANARY_TIMEOUT_MS: '60000',
      }),
    ),
  );
  const tier = () => world.store.status('fast');
  await waitUntil('all are ready', async () => {
    const { workers: live } = await tier();
    return live.length === 3 && live.every(({ slots }) => slots === 4);
  });

  engine.behaviour = 'fails';
  const jobs = await world.submit(40);
  await waitUntil('it is open for all', async () => {
    const { workers: live } = await tier();
    return live.every(({ breaker, slots }) => breaker !== 'closed' && slots === 0);
  });
  await waitUntil('all know', () => workers.every((worker) => breakerOf(worker) !== undefined));
  const openMs = Date.now();
  const before = engine.chats;
  await waitUntil('it is probed', () => engine.chats >= before + 4, PATIENT);

  // One that is in the midst of its probe dies.
  engine.behaviour = 'hangs';
  await waitUntil('a probe hangs', () => engine.hanging.length > 0, PATIENT);
  const prober = workers.find((worker) => {
    const [last] = breakerLogs(worker).slice(-1);
    return last?.['msg'] === 'breaker half_open' && last['by'] === 'this worker';
  });
  if (prober === undefined) throw new Error('Nobody probes');
  const others = workers.filter((worker) => worker !== prober);
  prober.kill('SIGKILL');
  await prober.exited;
  engine.behaviour = 'works';

  await world.completed(jobs);
  await waitUntil('it is closed for all', () =>
    others.every((worker) => breakerOf(worker) === 'breaker closed'),
  );
  const closedMs = Math.min(...others.flatMap((worker) => timesMs(worker, 'breaker closed')));
  expect(engine.overlapsMs.filter((ms) => ms > openMs && ms < closedMs)).toEqual([]);
  expect(engine.overlapsMs.some((ms) => ms > closedMs)).toBe(true);

  const [other] = others;
  const metrics = await (await fetch(`${other?.opsUrl}/metrics`)).text();
  const labels = `tier="fast",upstream="${engine.url}@${hostname()}"`;
  expect(metrics).toContain(`qarr_breaker_state{${labels}} 0`);
  expect(metrics).toMatch(/qarr_breaker_transitions_total\{.*to="open"\} [1-9]/);
});

it('is in use again at once when the engine has died and was started anew', async () => {
  const world = await createWorld();
  const engine = await startEngineProcess('--profile=awq-24gb');
  const worker = await world.startWorker({
    QARR_UPSTREAM_URL: engine.url,
    QARR_CONCURRENCY: '32',
    // Its time is never up.
    QARR_BREAKER_OPEN_MS: '3600000',
    QARR_BREAKER_OPEN_MS_MAX: '3600000',
  });
  const jobs = await world.submit(40, 120);
  await waitUntil('they run', async () => (await engine.receivedWith('ignore_eos')) >= 32, PATIENT);
  engine.kill('SIGKILL');
  await engine.ended;
  await startEngineProcess('--profile=awq-24gb', `--port=${engine.port}`);
  await world.completed(jobs);
  const changes = breakerLogs(worker).map(({ msg }) => msg);
  expect(changes).toEqual(['breaker open', 'breaker half_open', 'breaker closed']);
});
