import { hostname } from 'node:os';
import type { UpstreamStatus, WorkerStatus } from '@qarr/router-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApiWorld } from '../harness/api.ts';
import type { ApiWorld } from '../harness/api.ts';
import { startEngineProcess } from '../harness/engine-process.ts';
import type { EngineProcess } from '../harness/engine-process.ts';
import { submitJob } from '../harness/native-client.ts';
import { waitUntil } from '../harness/wait-until.ts';
import { startWorkerProcess } from '../harness/worker-process.ts';
import type { WorkerProcess } from '../harness/worker-process.ts';

/** Long enough that an engine is broken while it answers. */
const JOB = { prompt: 'Tell me a story.', tier: 'fast', max_tokens: 200, ignore_eos: true };
const PATIENT = { timeoutMs: 45_000, everyMs: 50 };
const MODEL = '--served-model-name=right';

let world: ApiWorld;
beforeAll(async () => {
  world = await startApiWorld();
}, 60_000);
afterAll(() => world.stop());

interface Tier {
  readonly slots: number;
  readonly workers: readonly WorkerStatus[];
}

async function tierNow(): Promise<Tier> {
  const { tiers } = (await (await fetch(`${world.api.url}/v1/tiers`)).json()) as {
    tiers: (Tier & { name: string })[];
  };
  return tiers.find(({ name }) => name === 'fast') ?? { slots: 0, workers: [] };
}

async function engineNow({ pid }: WorkerProcess, { url }: EngineProcess) {
  const { workers } = await tierNow();
  const worker = workers.find((each) => each.pid === pid);
  return worker?.upstreams?.find((upstream) => upstream.url === url);
}

function becomes(worker: WorkerProcess, engine: EngineProcess, state: UpstreamStatus['state']) {
  return waitUntil(
    `an engine is ${state}`,
    async () => {
      const status = await engineNow(worker, engine);
      return status?.state === state ? status : null;
    },
    PATIENT,
  );
}

/** Slow enough to be caught at work. */
function startEngine(...flags: string[]): Promise<EngineProcess> {
  return startEngineProcess('--profile=awq-24gb', '--time-scale=0.5', MODEL, ...flags);
}

/** Two engines and a worker that uses both, ready. */
async function startTwo() {
  const engines = [await startEngine(), await startEngine()] as const;
  const worker = await startWorkerProcess({
    REDIS_URL: world.redisServer.url,
    QARR_UPSTREAM_URL: engines.map(({ url }) => url).join(),
    QARR_CONCURRENCY: '3',
    QARR_WARMUP_REQUESTS: '5',
    QARR_CANARY_EVERY_MS: '300',
    QARR_CANARY_TIMEOUT_MS: '1000',
    QARR_FIRST_TOKEN_TIMEOUT_MS: '3000',
    QARR_IDLE_TIMEOUT_MS: '1000',
    QARR_BREAKER_OPEN_MS: '1000',
  });
  for (const engine of engines) await becomes(worker, engine, 'ready');
  return { broken: engines[0], sound: engines[1], worker };
}

async function submit(count: number): Promise<string[]> {
  const jobs = Array.from({ length: count }, () => submitJob(world.api.url, JOB));
  return (await Promise.all(jobs)).map(({ urls }) => urls.self);
}

async function allCompleted(jobs: readonly string[]): Promise<void> {
  await waitUntil(
    'all jobs are over',
    async () => {
      const states = await statesOf(jobs);
      return states.every((state) => !['queued', 'running'].includes(state));
    },
    PATIENT,
  );
  expect(new Set(await statesOf(jobs))).toEqual(new Set(['completed']));
}

function statesOf(jobs: readonly string[]): Promise<string[]> {
  return Promise.all(
    jobs.map(async (url) => ((await (await fetch(url)).json()) as { status: string }).status),
  );
}

async function isAtWork(worker: WorkerProcess, engine: EngineProcess): Promise<void> {
  await waitUntil('it has jobs', async () => (await engineNow(worker, engine))?.running, PATIENT);
}

/** Nothing but jobs has this field. */
const jobsOf = (engine: EngineProcess) => engine.receivedWith('ignore_eos');
const messages = ({ logs }: WorkerProcess, text: string) =>
  logs.filter((line) => JSON.stringify(line).includes(text));

describe('a worker with two engines', () => {
  it('gives both of them work, and shows them', async () => {
    const { broken, sound, worker } = await startTwo();
    const tier = await tierNow();
    expect(tier.slots).toBe(6);
    expect(tier.workers[0]).toMatchObject({
      slots: 6,
      breaker: 'closed',
      model: 'right',
      max_model_len: 8_192,
    });
    await allCompleted(await submit(12));
    const shares = [await jobsOf(broken), await jobsOf(sound)];
    expect(shares.every((share) => share >= 3)).toBe(true);
    expect(shares).toEqual([12 - (shares[1] ?? 0), 12 - (shares[0] ?? 0)]);

    const metrics = await (await fetch(`${worker.opsUrl}/metrics`)).text();
    expect(metrics).toContain(
      `qarr_upstream_state{tier="fast",upstream="${broken.url}@${hostname()}",state="ready"} 1`,
    );
    const labels = `tier="fast",upstream="${sound.url}@${hostname()}"`;
    expect(metrics).toContain(`qarr_upstream_slots{${labels}} 3`);
    expect(metrics).toContain('qarr_worker_slots{tier="fast",state="free"} 6');
    expect(await worker.stop()).toBe(0);
  });

  it('loses no job when one is killed, and uses it again when it is back', async () => {
    const { broken, sound, worker } = await startTwo();
    const jobs = await submit(15);
    await isAtWork(worker, broken);
    broken.kill('SIGKILL');
    await broken.ended;
    await allCompleted(jobs);
    expect(await becomes(worker, broken, 'gone')).toMatchObject({ slots: 0, running: 0 });
    expect(await tierNow()).toMatchObject({ slots: 3, workers: [{ upstream: sound.url }] });

    const back = await startEngine(`--port=${broken.port}`);
    await becomes(worker, back, 'ready');
    expect(await back.received()).toBeGreaterThanOrEqual(5);
    expect(await jobsOf(back)).toBe(0);
    await allCompleted(await submit(8));
    expect(await jobsOf(back)).toBeGreaterThan(0);
  });

  it('loses no job when one is frozen, and uses it again when it is thawed', async () => {
    const { broken, worker } = await startTwo();
    const jobs = await submit(15);
    await isAtWork(worker, broken);
    broken.kill('SIGSTOP');
    await becomes(worker, broken, 'gone');
    await allCompleted(jobs);
    broken.kill('SIGCONT');
    await becomes(worker, broken, 'ready');
    const before = await jobsOf(broken);
    await allCompleted(await submit(8));
    expect(await jobsOf(broken)).toBeGreaterThan(before);
  });

  it('gives no job to one that comes back with another model', async () => {
    const { broken, worker } = await startTwo();
    broken.kill('SIGKILL');
    await broken.ended;
    await becomes(worker, broken, 'gone');
    const wrong = await startEngineProcess(
      '--profile=instant',
      '--served-model-name=wrong',
      `--port=${broken.port}`,
    );
    const [line] = await waitUntil('it is noticed', () => {
      const found = messages(worker, 'serves wrong, not right');
      return found.length > 0 ? found : null;
    });
    expect(line).toMatchObject({ msg: 'engine gone', upstream: broken.url });
    await allCompleted(await submit(8));
    expect(await wrong.received()).toBe(0);
    expect(messages(worker, 'serves wrong')).toHaveLength(1);
    expect((await engineNow(worker, wrong))?.state).toBe('gone');
  });

  it('lets jobs wait while none is ready, and says on its ops port that it is not', async () => {
    const { broken, sound, worker } = await startTwo();
    const readiness = async () => (await fetch(`${worker.opsUrl}/readyz`)).status;
    expect(await readiness()).toBe(200);
    for (const engine of [broken, sound]) {
      engine.kill('SIGKILL');
      await engine.ended;
    }
    await becomes(worker, broken, 'gone');
    await becomes(worker, sound, 'gone');
    const jobs = await submit(5);
    await waitUntil('it pulls nothing', async () => (await tierNow()).slots === 0);
    expect((await tierNow()).workers[0]).toMatchObject({ breaker: 'open', max_model_len: 8_192 });
    expect(new Set(await statesOf(jobs))).toEqual(new Set(['queued']));
    expect(await readiness()).toBe(503);
    await startEngine(`--port=${sound.port}`);
    await allCompleted(jobs);
    expect(await readiness()).toBe(200);
  });
});
