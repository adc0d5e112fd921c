/**
 * `npm run sizing`: what jobs and streams take, as the table of `docs/operations.md`. Real processes and a
 * Redis of its own; a few minutes. The figures are those of this machine and Node.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { runCommand, say } from '../../harness/command.ts';
import type { ParsedFlags } from '../../harness/command.ts';
import { waitUntil } from '../../harness/wait-until.ts';
import { measureIdleStreams } from '../../soak/idle-streams.ts';
import { figuresOf } from '../../soak/process-figures.ts';
import { startScaleRedis } from '../redis.ts';
import { startScaleWorld } from '../world.ts';
import type { ScaleWorld } from '../world.ts';
import { submitJobs, untilCompleted } from './jobs.ts';
import { watchRedisMemory } from './redis-memory.ts';
import type { RedisMemory } from './redis-memory.ts';

const PROMPTS_BYTES = [100, 1_000, 10_000] as const;
const SHORT_PROMPT_BYTES = 100;
const ANSWER_TOKENS = 200;
const HEARTBEAT_MS = 1_000;
const HEARTBEATS = 3;
/** Jobs at once in the worker. */
const SLOTS = 128;
/** Slow engines, so that many jobs run at once for a while. */
const SLOW = 4;
const LONG_TOKENS = 400;
const WARM_UP_TOKENS = 5;
const LOG_EVENTS = 100;

const USAGE = `npm run sizing: what jobs and streams take in Redis, the API and a worker

  --jobs N      of each kind (1000)
  --streams N   idle ones (2000)`;

const rows: [what: string, bytes: number][] = [];

await runCommand('sizing', { usage: USAGE, parsed: readOptions(), run });

interface SizingOptions {
  readonly jobs: number;
  readonly streams: number;
}

function readOptions(): ParsedFlags<SizingOptions> {
  const options = {
    jobs: { type: 'string', default: '1000' },
    streams: { type: 'string', default: '2000' },
    help: { type: 'boolean', default: false },
  } as const;
  try {
    const { values } = parseArgs({ options });
    if (values.help) return { kind: 'help' };
    const [jobs, streams] = [Number(values.jobs), Number(values.streams)];
    if (jobs >= 100 && jobs <= 5_000 && streams >= 100 && streams <= 10_000) {
      return { kind: 'run', options: { jobs, streams } };
    }
    return { kind: 'refused', message: '--jobs takes 100 to 5000, --streams 100 to 10000' };
  } catch (error) {
    return { kind: 'refused', message: (error as Error).message.split('\n', 1)[0] ?? '' };
  }
}

async function run(options: SizingOptions): Promise<number> {
  await inWorld({ timeScale: 1, measure: (measured) => measureWaiting(measured, options) });
  await inWorld({ timeScale: 0, measure: (measured) => measureKept(measured, options) });
  await inWorld({ timeScale: SLOW, measure: measureRunning });
  say(`\n| what | KB |\n| --- | --- |`);
  for (const [what, bytes] of rows) say(`| ${what} | ${(bytes / 1_000).toFixed(2)} |`);
  return 0;
}

interface Measured {
  readonly world: ScaleWorld;
  readonly api: { readonly url: string; readonly opsUrl: string; readonly port: number };
  readonly memory: RedisMemory;
}

async function inWorld({
  timeScale,
  measure,
}: {
  timeScale: number;
  measure: (measured: Measured) => Promise<void>;
}): Promise<void> {
  const world = await startScaleWorld({
    redis: await startScaleRedis('single'),
    apis: 1,
    slots: SLOTS,
    timeScale,
    drainMs: 0,
  });
  const memory = watchRedisMemory(world.redis.url);
  try {
    const url = world.apis[0]?.url ?? '';
    const opsUrl = await opsUrlOf(world, 'api-1');
    await measure({ world, memory, api: { url, opsUrl, port: Number(new URL(url).port) } });
  } finally {
    memory.stop();
    await world.stop({ keepsFolder: false });
  }
}

/** Without a worker: everything waits. The first use of everything is not what a job costs. */
async function measureWaiting(
  { api, memory }: Measured,
  { jobs, streams }: SizingOptions,
): Promise<void> {
  const tokens = ANSWER_TOKENS;
  await submitJobs(api.url, { count: jobs, promptBytes: SHORT_PROMPT_BYTES, tokens });
  for (const promptBytes of PROMPTS_BYTES) {
    const size = { promptBytes, tokens: ANSWER_TOKENS };
    const perJob = await growthOf(memory, jobs, () =>
      submitJobs(api.url, { ...size, count: jobs }),
    );
    note(`Redis, per waiting job with a prompt of ${promptBytes / 1_000} KB`, perJob);
  }
  const { before, watched } = await measureIdleStreams(
    { api },
    { streams, jobs: 'one', heartbeats: HEARTBEATS, heartbeatMs: HEARTBEAT_MS },
  );
  note('API, resident, without streams', before.residentBytes);
  note(
    'API, resident, per idle stream',
    (watched.residentBytesMax - before.residentBytes) / streams,
  );
}

/** By an engine that takes no time: what is left when jobs are over. */
async function measureKept(
  { world, api, memory }: Measured,
  { jobs }: SizingOptions,
): Promise<void> {
  await world.resize(1, 'killed');
  const size = { promptBytes: SHORT_PROMPT_BYTES, tokens: ANSWER_TOKENS };
  await untilCompleted(api.url, await submitJobs(api.url, { ...size, count: SLOTS }));
  let ids: readonly string[] = [];
  const perJob = await growthOf(memory, jobs, async () => {
    ids = await submitJobs(api.url, { ...size, count: jobs });
    await untilCompleted(api.url, ids);
  });
  const log = await memory.logOf(ids[0] ?? '');
  note(`Redis, per job of ${ANSWER_TOKENS} tokens that has ended, with its log`, perJob);
  note('Redis, the record of it', await memory.recordBytes(ids[0] ?? ''));
  note(`Redis, the log of it, in ${log.events} events`, log.bytes);
}

async function measureRunning({ world, api, memory }: Measured): Promise<void> {
  await world.resize(1, 'killed');
  const opsUrl = await opsUrlOf(world, 'worker-1');
  const size = { promptBytes: SHORT_PROMPT_BYTES, tokens: LONG_TOKENS };
  const warmUp = await submitJobs(api.url, { ...size, tokens: WARM_UP_TOKENS, count: SLOTS });
  await untilCompleted(api.url, warmUp);
  const before = await figuresOf({ opsUrl });
  const ids = await submitJobs(api.url, { ...size, count: 2 * SLOTS });
  // The worker feels its way to what the engine takes.
  const running = await waitUntil(
    'many slots have a job',
    async () => {
      const count = (await world.pods[0]?.running()) ?? 0;
      return count >= SLOTS / 4 ? count : null;
    },
    { timeoutMs: 120_000, everyMs: 50 },
  );
  const grown = (await figuresOf({ opsUrl })).residentBytes - before.residentBytes;
  note('worker, resident, without jobs', before.residentBytes);
  note('worker, resident, per running job', grown / running);
  // A token is an event here, as on a card; an engine that takes no time makes fewer of them.
  const log = await waitUntil(
    'one has many tokens',
    async () => {
      const logs = await Promise.all(ids.slice(0, running).map((id) => memory.logOf(id)));
      return logs.find(({ events }) => events >= LOG_EVENTS);
    },
    { timeoutMs: 120_000, everyMs: 500 },
  );
  note('Redis, per token in the log of a job', log.bytes / log.events);
}

async function growthOf(
  memory: RedisMemory,
  count: number,
  act: () => Promise<unknown>,
): Promise<number> {
  const before = await memory.usedBytes();
  await act();
  return ((await memory.usedBytes()) - before) / count;
}

function note(what: string, bytes: number): void {
  rows.push([what, bytes]);
  say(`${what}: ${Math.round(bytes)} bytes`);
}

/** As it said when it started. */
async function opsUrlOf({ folder }: ScaleWorld, name: string): Promise<string> {
  const log = await readFile(join(folder, `${name}.log`), 'utf8');
  const [, port] = /"ops_port":(\d+)/.exec(log) ?? [];
  return `http://127.0.0.1:${port}`;
}
