/** The API as the real process it is, with a Redis of its own, and workers whose engine is the test. */
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { HEARTBEAT_MS, createWorkerStore } from '@qarr/job-store';
import type {
  AnswerDelta,
  AttemptLog,
  ClaimedJob,
  Delivery,
  Ending,
  StopReason,
} from '@qarr/job-store';
import { jobError } from '@qarr/router-core';
import type { ErrorCode, JobResult, Usage, WorkerStatus } from '@qarr/router-core';
import { Redis } from 'ioredis';
import { startRedisServer } from './redis-server.ts';
import { waitUntil } from './wait-until.ts';

const MAIN = fileURLToPath(new URL('../../apps/api/src/main.ts', import.meta.url));
const TIERS = ['fast', 'balanced', 'precise'];
const WORKER_SLOTS = 50;
/** Pino's number for `error`. */
const LOG_LEVEL_ERROR = 50;

export type Environment = Readonly<Record<string, string>>;

export interface ApiProcess {
  readonly url: string;
  readonly opsUrl: string;
  readonly port: number;
  readonly pid: number;
  /** What it has logged, as parsed lines. */
  readonly logs: readonly Readonly<Record<string, unknown>>[];
  kill(signal: NodeJS.Signals): void;
  /** Sends SIGTERM unless it has ended. Resolves to the exit code, null when a signal ended it. */
  stop(): Promise<number | null>;
  readonly exited: Promise<number | null>;
}

export interface ApiWorld {
  readonly api: ApiProcess;
  /** Where its files lie, unless it was told otherwise. */
  readonly filesFolder: string;
  readonly redisServer: Awaited<ReturnType<typeof startRedisServer>>;
  readonly redis: Redis;
  /** Another replica. `within`: a command that runs it, and keeps its process id. */
  startApi(environment?: Environment, within?: readonly string[]): Promise<ApiProcess>;
  /** Of the jobs of class batch it takes none, unless it is told to. */
  startWorker(
    tier: string,
    status?: Partial<WorkerStatus>,
    options?: { takesBatches?: boolean },
  ): Promise<TestWorker>;
  /** Ids of all jobs that Redis knows. */
  jobIds(): Promise<string[]>;
  /** Stops all of it. Throws when an API has logged an error or written to stderr. */
  stop(): Promise<void>;
}

export async function startApiWorld(
  environment: Environment = {},
  starting = startRedisServer(),
): Promise<ApiWorld> {
  const redisServer = await starting;
  const redis = new Redis(redisServer.url, { maxRetriesPerRequest: null });
  redis.on('error', () => {});
  const stops: (() => Promise<unknown>)[] = [() => redisServer.stop()];
  const filesFolder = await mkdtemp(join(tmpdir(), 'qarr-files-'));
  stops.push(() => rm(filesFolder, { recursive: true, force: true }));
  stops.push(async () => redis.disconnect());

  async function startApi(more: Environment = {}, within: readonly string[] = []) {
    const own = { REDIS_URL: redisServer.url, QARR_FILES_DIR: filesFolder };
    const api = await spawnApi({ ...own, ...environment, ...more }, within);
    stops.push(() => api.stop());
    return api;
  }
  return {
    api: await startApi(),
    filesFolder,
    redisServer,
    redis,
    startApi,
    async startWorker(tier, status, { takesBatches = false } = {}) {
      const { url: redisUrl } = redisServer;
      const worker = await startTestWorker({ redisUrl, redis, tier, status, takesBatches });
      stops.push(() => worker.stop());
      return worker;
    },
    async jobIds() {
      const names = await redis.keys('*:job');
      return names.flatMap((name) => /\{(job_\w+)\}:job$/.exec(name)?.[1] ?? []);
    },
    async stop() {
      for (const stop of stops.toReversed()) await stop();
    },
  };
}

async function spawnApi(environment: Environment, within: readonly string[]): Promise<ApiProcess> {
  const command: readonly string[] = [...within, process.execPath, MAIN];
  const child = spawn(command[0] ?? '', command.slice(1), {
    // Nothing of this machine's settings: neither variables nor a configuration file.
    cwd: tmpdir(),
    env: { PORT: '0', OPS_PORT: '0', QARR_DRAIN_MS: '200', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const logs: Record<string, unknown>[] = [];
  let stderr = '';
  createInterface(child.stdout).on('line', (line) => logs.push(JSON.parse(line)));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve));
  // A test that is given up does not stop what it has started.
  const orphaned = () => void child.kill('SIGKILL');
  process.once('exit', orphaned);
  child.once('close', () => process.off('exit', orphaned));

  const started = await waitUntil('the API starts', () => {
    if (child.exitCode !== null) throw new Error(`The API does not start: ${stderr}`);
    return logs.find(({ msg }) => msg === 'api started');
  });
  const { port } = started['address'] as { port: number };
  return {
    url: `http://127.0.0.1:${port}`,
    opsUrl: `http://127.0.0.1:${String(started['ops_port'])}`,
    port,
    pid: child.pid ?? 0,
    logs,
    exited,
    kill: (signal) => void child.kill(signal),
    async stop() {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
      const code = await exited;
      const errors = logs.filter(({ level }) => Number(level) >= LOG_LEVEL_ERROR);
      if (errors.length > 0) throw new Error(`The API logged ${JSON.stringify(errors)}`);
      if (stderr !== '') throw new Error(`The API wrote to stderr: ${stderr}`);
      return code;
    },
  };
}

/** One attempt at a job, under the test's control. */
export interface TestAttempt {
  readonly job: ClaimedJob;
  /** Why it was told to stop, if it was. */
  readonly stopped: StopReason | 'told' | null;
  /** Adds text, or more, and waits until it is in the log, so that it is an event of its own. */
  say(text: string, more?: Omit<AnswerDelta, 'text'>): Promise<void>;
  /** Adds it again and again, faster than engines do, and waits until the log has all of it. */
  pour(text: string, times: number): Promise<void>;
  complete(usage?: Usage | null): Promise<void>;
  /** Completes with this result instead of the text that was said. */
  completeWith(result: JobResult): Promise<void>;
  fail(code: ErrorCode): Promise<void>;
  /** Ends as cancelled, having made so many tokens. */
  giveUp(tokens: number): Promise<void>;
  /** Gives it back to its queue, as a worker does that stops. */
  handBack(): Promise<void>;
  /** Lets go of its queue entry without another word, as a worker does that was superseded. */
  leave(): void;
}

export interface TestWorker {
  /** The next attempt that was pulled; one of this job, where one is named. */
  next(jobId?: string): Promise<TestAttempt>;
  readonly isStopped: boolean;
  stop(): Promise<void>;
}

async function startTestWorker({
  redisUrl,
  redis,
  tier,
  status,
  takesBatches,
}: {
  redisUrl: string;
  redis: Redis;
  tier: string;
  status: Partial<WorkerStatus> | undefined;
  takesBatches: boolean;
}): Promise<TestWorker> {
  if (!TIERS.includes(tier)) throw new Error(`There is no tier ${tier}`);
  const id = `worker-${randomUUID()}`;
  const running = new Map<string, { tell: () => void; release: () => void }>();
  const pulled: TestAttempt[] = [];
  const store = await createWorkerStore({
    redisUrl,
    tier,
    onCancel: (jobId) => running.get(jobId)?.tell(),
    onError: () => {},
  });
  const beat = () => store.beat(workerStatus({ id, running: running.size, ...status }));
  await beat();
  const beating = setInterval(() => void beat().catch(() => {}), HEARTBEAT_MS);

  const queues = takesBatches ? (['foreground', 'batch'] as const) : (['foreground'] as const);
  const consumers = queues.map((queue) =>
    store.consume({
      queue,
      concurrency: status?.slots ?? WORKER_SLOTS,
      // As a worker does whose engines are all out.
      paused: status?.breaker === 'open',
      async deliver(entry, { token }) {
        const claim = await store.claim(entry, { worker: id, token });
        if (claim.kind !== 'run') return { kind: 'done' };
        const over = Promise.withResolvers<Delivery>();
        let stopped: TestAttempt['stopped'] = null;
        running.set(entry.jobId, {
          tell: () => void (stopped ??= 'told'),
          release: () => over.resolve({ kind: 'done' }),
        });
        const log = claim.openLog((reason) => void (stopped ??= reason));
        pulled.push({
          ...testAttempt({ job: claim.job, log, redis, end: over.resolve }),
          get stopped() {
            return stopped;
          },
        });
        return over.promise.finally(() => running.delete(entry.jobId));
      },
    }),
  );

  let stopping: Promise<void> | null = null;
  async function stop(): Promise<void> {
    clearInterval(beating);
    await Promise.all(consumers.map((consumer) => consumer.pause()));
    for (const { release } of running.values()) release();
    await store.leave(id);
    await store.stop();
  }

  return {
    async next(jobId) {
      return waitUntil('an attempt is pulled', () => {
        if (stopping !== null) throw new Error('The worker has stopped.');
        const index = pulled.findIndex(({ job }) => jobId === undefined || job.jobId === jobId);
        return index === -1 ? undefined : pulled.splice(index, 1)[0];
      });
    },
    get isStopped() {
      return stopping !== null;
    },
    stop: () => (stopping ??= stop()),
  };
}

function testAttempt({
  job,
  log,
  redis,
  end,
}: {
  job: ClaimedJob;
  log: AttemptLog;
  redis: Redis;
  end: (delivery: Delivery) => void;
}): Omit<TestAttempt, 'stopped'> {
  let text = '';
  const seq = async () => Number(await redis.hget(`qarr:{${job.jobId}}:job`, 'seq'));

  async function finish(ending: Ending): Promise<void> {
    const outcome = await log.finish(ending);
    if (outcome !== 'ok') throw new Error(`The end was refused: ${outcome}`);
    end({ kind: 'done' });
  }
  return {
    job,
    async say(added, more) {
      const before = await seq();
      text += added;
      log.append({ ...more, text: added });
      await waitUntil('the text is in the log', async () => (await seq()) > before);
    },
    async pour(more, times) {
      for (let time = 0; time < times; time += 1) {
        text += more;
        log.append({ text: more });
        // In one turn they would become one event.
        await sleep(1);
      }
      await this.say('.');
    },
    complete: (usage = USAGE) =>
      finish({
        event: { type: 'completed', finish_reason: 'stop', usage, timings: TIMINGS },
        result: { text, finish_reason: 'stop' },
      }),
    completeWith: ({ finish_reason, ...answer }) =>
      finish({
        event: { type: 'completed', finish_reason, usage: USAGE, timings: TIMINGS },
        result: { ...answer, finish_reason },
      }),
    fail: (code) =>
      finish({ event: { type: 'failed', error: jobError(code), usage: null, timings: TIMINGS } }),
    giveUp: (tokens) =>
      finish({
        event: { type: 'cancelled', ran: true, tokens, usage: usageOf(tokens), timings: TIMINGS },
      }),
    async handBack() {
      await log.requeue({ burns: 'nothing' });
      end({ kind: 'again', delayMs: 1 });
    },
    leave: () => end({ kind: 'done' }),
  };
}

export const USAGE: Usage = usageOf(2);
export const TIMINGS = { queue_wait_ms: 1, ttft_ms: 2, run_ms: 3 };

function usageOf(completionTokens: number): Usage {
  return {
    prompt_tokens: 5,
    completion_tokens: completionTokens,
    total_tokens: 5 + completionTokens,
  };
}

function workerStatus(fields: Partial<WorkerStatus> & { id: string }): WorkerStatus {
  return {
    host: 'test',
    pid: process.pid,
    slots: WORKER_SLOTS,
    running: 0,
    breaker: 'closed',
    upstream: 'http://127.0.0.1:1',
    model: 'test-model',
    max_model_len: null,
    service_ms: 100,
    ...fields,
  };
}

/** A POST of JSON, as an application does it. */
export function postJson(url: string, body: unknown, init: RequestInit = {}): Promise<Response> {
  return fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify(body),
    ...init,
  });
}

/** A response that is read as it comes. */
export interface StreamReader {
  readonly response: Response;
  /** All that has arrived. */
  readonly text: string;
  /** Waits until this has arrived. */
  until(text: string): Promise<void>;
  /** Waits for the end and returns the whole. */
  end(): Promise<string>;
  leave(): void;
}

export async function openStream(url: string, init: RequestInit = {}): Promise<StreamReader> {
  const leaving = new AbortController();
  const response = await fetch(url, { ...init, signal: leaving.signal });
  let text = '';
  const whole = (async () => {
    const decoder = new TextDecoder();
    for await (const bytes of response.body ?? []) text += decoder.decode(bytes, { stream: true });
    return text;
  })();
  // Somebody who leaves does not wait for the end.
  whole.catch(() => {});
  return {
    response,
    get text() {
      return text;
    },
    until: async (part) => void (await waitUntil(`${part} arrives`, () => text.includes(part))),
    end: () => whole,
    leave: () => leaving.abort(),
  };
}

/** A connection without an HTTP client, for what no client would send. */
export interface RawConnection {
  readonly socket: Socket;
  /** All that has arrived. */
  readonly text: string;
  until(text: string): Promise<void>;
  /** Waits until the server has closed, and returns the whole. */
  closed(): Promise<string>;
}

export function connectRaw(port: number, firstBytes: string | Buffer = ''): RawConnection {
  const socket = connect(port, '127.0.0.1');
  let text = '';
  socket.on('data', (bytes) => (text += bytes.toString()));
  // A reset is a close as well: tests look at what has arrived.
  socket.on('error', () => {});
  socket.write(firstBytes);
  return {
    socket,
    get text() {
      return text;
    },
    until: async (part) => void (await waitUntil(`${part} arrives`, () => text.includes(part))),
    async closed() {
      await waitUntil('the server closes', () => socket.destroyed);
      return text;
    },
  };
}
