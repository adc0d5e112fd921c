/**
 * Real runners of batches with all that they need: a Redis, an engine, a worker of each tier, a folder
 * for files. Batches are made in Redis and in the folder, as the API makes them.
 */
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { createFolderStore } from '@qarr/file-store';
import type { FileStore } from '@qarr/file-store';
import { createProducerStore } from '@qarr/job-store';
import type { ProducerStore } from '@qarr/job-store';
import { QarrError, contentOf, isBatchOver } from '@qarr/router-core';
import type { BatchRecord, NewBatch } from '@qarr/router-core';
import { COMPILE_CACHE } from './compile-cache.ts';
import { startRedisServer } from './redis-server.ts';
import type { RedisServer } from './redis-server.ts';
import { waitUntil } from './wait-until.ts';

const TIERS = ['fast', 'balanced', 'precise'];
const LOG_LEVEL_ERROR = 50;
/** On a machine that does much else. */
const START_TIMEOUT_MS = 50_000;
const apps = (path: string) => fileURLToPath(new URL(`../../apps/${path}`, import.meta.url));

type Environment = Readonly<Record<string, string>>;
type LogLine = Readonly<Record<string, unknown>>;

export interface Child {
  readonly pid: number;
  readonly logs: readonly LogLine[];
  /** Of what it has logged or printed first, the line that says that it is there. */
  readonly started: LogLine;
  kill(signal: NodeJS.Signals): void;
  readonly exited: Promise<number | null>;
  /** Sends SIGTERM unless it has ended. Resolves to the exit code, null when a signal ended it. */
  stop(): Promise<number | null>;
}

/** One line of an input file, but for what is the same in all. */
export interface TestLine {
  readonly custom_id: string;
  readonly body: object;
}

export interface BatchWorld {
  readonly store: ProducerStore;
  readonly files: FileStore;
  readonly folder: string;
  readonly redisUrl: string;
  readonly redisPid: number;
  startRunner(environment?: Environment): Promise<Child>;
  startWorker(tier: string, environment?: Environment): Promise<Child>;
  startApi(environment?: Environment): Promise<Child & { url: string }>;
  /** Requests for answers that the engine has got. */
  received(): Promise<number>;
  make(lines: readonly TestLine[] | string, fields?: Partial<NewBatch>): Promise<BatchRecord>;
  get(batchId: string): Promise<BatchRecord>;
  untilOver(batchId: string, timeoutMs?: number): Promise<BatchRecord>;
  /** The parsed lines of a file of a batch; none where it has no such file. */
  lines(fileId: string | null): Promise<OutcomeLine[]>;
  /** Stops all of it. Throws when one of its processes has logged an error or written to stderr. */
  stop(): Promise<void>;
}

export interface OutcomeLine {
  readonly id: string;
  readonly custom_id: string;
  readonly response: {
    readonly status_code: number;
    readonly request_id: string;
    readonly body: Record<string, never>;
  } | null;
  readonly error: { readonly code: string; readonly message: string } | null;
  readonly qarr_tier: string | null;
}

export async function startBatchWorld({
  engineFlags = ['--profile=instant'],
  environment = {},
  starting = startRedisServer(),
}: {
  engineFlags?: readonly string[];
  environment?: Environment;
  /** Any Redis that `REDIS_URL` may name. */
  starting?: Promise<RedisServer & { pid?: number }>;
} = {}): Promise<BatchWorld> {
  const stops: (() => Promise<unknown>)[] = [];
  const redis = await starting;
  stops.push(() => redis.stop());
  const folder = await mkdtemp(join(tmpdir(), 'qarr-files-'));
  stops.push(() => rm(folder, { recursive: true, force: true }));
  const { url: redisUrl } = redis;
  const ownStore = await createProducerStore({
    redisUrl,
    tiers: TIERS,
    replicaId: randomUUID(),
    // Whoever reads a tier's load says when it alerts.
    alertPerWorker: Number(environment['QARR_DEPTH_ALERT_PER_WORKER'] ?? 15),
    onError: () => {},
  });
  stops.push(() => ownStore.stop());
  const store = patient(ownStore);
  const files = createFolderStore({ folder });
  const shared = {
    REDIS_URL: redisUrl,
    QARR_FILES_DIR: folder,
    OPS_PORT: '0',
    PORT: '0',
    QARR_DRAIN_MS: '500',
    ...environment,
  };

  async function start(args: readonly string[], ready: string, env: Environment): Promise<Child> {
    const child = await startChild(args, { ready, env });
    stops.push(() => child.stop());
    return child;
  }

  const engine = await start(
    [apps('vllm-sim/src/main.ts'), '--port=0', ...engineFlags],
    'listening',
    {},
  );
  const engineUrl = String(engine.started['url']);
  return {
    store,
    files,
    folder,
    redisUrl,
    redisPid: redis.pid ?? 0,
    startRunner: (env = {}) =>
      start([apps('api/src/batch-runner/main.ts')], 'batch runner started', { ...shared, ...env }),
    startWorker: (tier, env = {}) =>
      start([apps('worker/src/main.ts'), '--tier', tier], 'worker started', {
        ...shared,
        QARR_UPSTREAM_URL: engineUrl,
        QARR_WARMUP_REQUESTS: '1',
        ...env,
      }),
    async startApi(env = {}) {
      const api = await start([apps('api/src/main.ts')], 'api started', { ...shared, ...env });
      const { port } = api.started['address'] as { port: number };
      return { ...api, url: `http://127.0.0.1:${port}` };
    },
    async received() {
      const response = await fetch(`${engineUrl}/_sim/state`);
      return ((await response.json()) as { received: number }).received;
    },
    async make(lines, fields = {}) {
      const id = randomUUID().replaceAll('-', '');
      const inputFileId = `file-${id}`;
      const { owner = 'anonymous', endpoint = '/v1/chat/completions' } = fields;
      const text = typeof lines === 'string' ? lines : inputOf(lines, endpoint);
      const written = await files.write(contentOf(inputFileId), whole(text), { bytesMax: 1e9 });
      const keptMs = 86_400_000;
      const file = { id: inputFileId, owner, filename: 'in.jsonl', purpose: 'batch' } as const;
      await store.files.create({ ...file, ...written, keptMs }, null);
      const made = await store.batches.create(
        {
          id: `batch_${id}`,
          owner,
          endpoint,
          inputFileId,
          completionWindow: '24h',
          windowMs: 86_400_000,
          metadata: null,
          quota: null,
          webhookUrl: null,
          outputKeptMs: keptMs,
          ...fields,
        },
        { openMax: 1_000 },
      );
      if (made.kind !== 'created') throw new Error(`The batch was not made: ${made.kind}`);
      return made.batch;
    },
    get,
    untilOver: (batchId, timeoutMs = 30_000) =>
      waitUntil(
        `${batchId} is over`,
        async () => {
          const batch = await get(batchId);
          return isBatchOver(batch.state) ? batch : null;
        },
        { timeoutMs, everyMs: 20 },
      ),
    async lines(fileId) {
      if (fileId === null) return [];
      const text = await readFile(join(folder, contentOf(fileId)), 'utf8');
      if (!text.endsWith('\n')) throw new Error('The file does not end with a line break');
      return text
        .slice(0, -1)
        .split('\n')
        .map((line) => JSON.parse(line) as OutcomeLine);
    },
    async stop() {
      for (const stop of stops.toReversed()) await stop();
    },
  };

  async function get(batchId: string): Promise<BatchRecord> {
    const batch = await store.batches.get(batchId);
    if (batch === null) throw new Error(`There is no ${batchId}`);
    return batch;
  }
}

export function chatLine(custom_id: string, body: object = {}): TestLine {
  const messages = [{ role: 'user', content: `Say something about ${custom_id}.` }];
  return { custom_id, body: { messages, model: 'fast', max_tokens: 4, ...body } };
}

export function inputOf(lines: readonly TestLine[], url: string): string {
  return lines.map((line) => `${JSON.stringify({ method: 'POST', url, ...line })}\n`).join('');
}

async function* whole(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}

/**
 * On a machine that is busy with tests Redis may not answer in time: that is not what is tested. What is
 * called here may be called again.
 */
function patient<Store extends object>(store: Store): Store {
  return new Proxy(store, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (typeof value === 'object' && value !== null) return patient(value);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]) => callUntilAnswered(() => value.apply(target, args));
    },
  });
}

function callUntilAnswered(call: () => unknown): unknown {
  const answer = call();
  if (!(answer instanceof Promise)) return answer;
  return answer.catch((error: unknown) => {
    if (!(error instanceof QarrError) || error.code !== 'queue_unavailable') throw error;
    return callUntilAnswered(call);
  });
}

/** A process that tests kill and freeze. It ends with this one. */
async function startChild(
  args: readonly string[],
  { ready, env }: { ready: string; env: Environment },
): Promise<Child> {
  const child = spawn(process.execPath, [...args], {
    // Nothing of this machine's settings: neither variables nor a configuration file.
    cwd: tmpdir(),
    env: { ...COMPILE_CACHE, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const logs: LogLine[] = [];
  let stderr = '';
  createInterface(child.stdout).on('line', (line) => logs.push(JSON.parse(line) as LogLine));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve));
  const orphaned = () => void child.kill('SIGKILL');
  process.once('exit', orphaned);
  child.once('close', () => process.off('exit', orphaned));
  const isReady = () => {
    if (child.exitCode !== null) throw new Error(`It does not start: ${stderr}`);
    return logs.find(({ msg, event }) => msg === ready || event === ready);
  };
  const started = await waitUntil(ready, isReady, { timeoutMs: START_TIMEOUT_MS }).catch(
    (error: unknown) => {
      orphaned();
      throw error;
    },
  );
  return {
    pid: child.pid ?? 0,
    logs,
    started,
    exited,
    kill: (signal) => void child.kill(signal),
    async stop() {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGTERM');
        // A frozen process takes no other signal.
        child.kill('SIGCONT');
      }
      const code = await exited;
      const errors = logs.filter(({ level }) => Number(level) >= LOG_LEVEL_ERROR);
      if (errors.length > 0) throw new Error(`It logged ${JSON.stringify(errors)}`);
      if (stderr !== '') throw new Error(`It wrote to stderr: ${stderr}`);
      return code;
    },
  };
}
