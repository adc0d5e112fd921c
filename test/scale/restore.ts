/**
 * A backup of Redis as `docs/operations.md` says, taken while jobs run and wait; then everything else is
 * lost, and a new system is started on it.
 */
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { ENGINE_SEED } from '../chaos/world/shape.ts';
import { startReference } from '../conformance/world/reference.ts';
import { startRedisServer } from '../harness/redis-server.ts';
import { waitUntil } from '../harness/wait-until.ts';
import { lookUpAll } from './aftermath.ts';
import type { JobLeft } from './aftermath.ts';
import { startScaleWorld } from './world.ts';
import type { ScaleWorld } from './world.ts';

const OVER_WITHIN_MS = 120_000;
const SLOTS = 2;
const SHORT = { max_tokens: 10 };
const LONG = { max_tokens: 120, ignore_eos: true };
const PROMPTS = ['Tell of tides.', 'Tell of bread.', 'Tell of maps.'];

export interface Restored {
  /** Of the job that was done by then, in the new system before it had a worker. */
  readonly doneStatus: number;
  /** Of one that came after the backup. */
  readonly lateStatus: number;
  /** Those that ran or waited, as they have ended, with what an undisturbed engine says. */
  readonly open: readonly (JobLeft & { readonly expected: string | undefined })[];
  /** All that there are in the end. */
  readonly jobs: readonly JobLeft[];
}

export async function restoreFromBackup(): Promise<Restored> {
  const folder = await mkdtemp(join(tmpdir(), 'qarr-restore-'));
  const reference = await startReference([`--seed=${ENGINE_SEED}`]);
  try {
    const backup = join(folder, 'backup');
    const { done, open, late } = await workAndBackUp({ folder, backup });
    const after = await startOn(backup);
    try {
      const [doneStatus, lateStatus] = [await look(after, done), await look(after, late)];
      await after.resize(1, 'killed');
      for (const id of open) await untilCompleted(after, id);
      const jobs = await lookUpAll(after.apis);
      const ended = open.map(async (id, index) => {
        const messages = [{ role: 'user' as const, content: PROMPTS[index] ?? '' }];
        const whole = await reference.answer({ messages, temperature: 0.7, ...LONG });
        const job = jobs.find((each) => each.id === id);
        if (job === undefined) throw new Error(`${id} is not listed`);
        return { ...job, expected: whole?.choices[0]?.message.content ?? undefined };
      });
      return {
        doneStatus: doneStatus.code,
        lateStatus: lateStatus.code,
        open: await Promise.all(ended),
        jobs,
      };
    } finally {
      await after.stop({ keepsFolder: false });
    }
  } finally {
    await reference.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

/** One is done; some run and the others wait when the backup is made; one comes after it. */
async function workAndBackUp({
  folder,
  backup,
}: {
  folder: string;
  backup: string;
}): Promise<{ done: string; open: string[]; late: string }> {
  const world = await startOn(folder);
  try {
    await world.resize(1, 'killed');
    const done = await submit(world, { prompt: 'Hello', ...SHORT });
    await untilCompleted(world, done);
    const open = await Promise.all(PROMPTS.map((prompt) => submit(world, { prompt, ...LONG })));
    await waitUntil('some run', async () => ((await world.pods[0]?.running()) ?? 0) > 0);
    await backUp(world.redis.url, { from: folder, to: backup });
    return { done, open, late: await submit(world, { prompt: 'Too late', ...SHORT }) };
  } finally {
    await world.stop({ keepsFolder: false });
  }
}

/** The append-only file, which nothing rewrites meanwhile. */
async function backUp(url: string, { from, to }: { from: string; to: string }): Promise<void> {
  const redis = new Redis(url);
  const name = 'appendonlydir';
  await redis.config('SET', 'auto-aof-rewrite-percentage', '0');
  await waitUntil('nothing rewrites it', async () =>
    (await redis.info('persistence')).includes('aof_rewrite_in_progress:0'),
  );
  await cp(join(from, name), join(to, name), { recursive: true });
  await redis.config('SET', 'auto-aof-rewrite-percentage', '100');
  redis.disconnect();
}

async function startOn(dir: string): Promise<ScaleWorld> {
  const server = await startRedisServer({ dir });
  const redis = { ...server, replicasMin: 0, failover: null };
  return startScaleWorld({ redis, apis: 1, slots: SLOTS, timeScale: 1, drainMs: 0 });
}

async function submit({ apis }: ScaleWorld, body: object): Promise<string> {
  const response = await fetch(`${apis[0]?.url}/v1/jobs`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return ((await response.json()) as { id: string }).id;
}

async function untilCompleted(world: ScaleWorld, id: string): Promise<void> {
  const isOver = async () => (await look(world, id)).status === 'completed';
  await waitUntil(`${id} is completed`, isOver, { timeoutMs: OVER_WITHIN_MS, everyMs: 100 });
}

async function look({ apis }: ScaleWorld, id: string): Promise<{ code: number; status?: string }> {
  const response = await fetch(`${apis[0]?.url}/v1/jobs/${id}`);
  const { status } = (await response.json()) as { status?: string };
  return { code: response.status, ...(status === undefined ? {} : { status }) };
}
