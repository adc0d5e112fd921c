/** The quiet phase: faults have ended, and everything must come to its end. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ClientContext } from './load/client.ts';
import { ask, textIn } from './load/client.ts';
import { readJob } from './load/reader.ts';
import type { Dump } from './check/dump.ts';
import type { Random } from './random.ts';
import type { World } from './world/world.ts';

const LOOK_EVERY_MS = 200;
const LOOKUP_TRIES_MAX = 5;
/** Look-ups and readings at once. */
const AT_ONCE = 16;
/** As long as a page may be. */
const PAGE = 100;
/** Readers who come when all is over. */
const LATE_READERS_MAX = 300;
/** Indexes of jobs that are open. */
const OPEN = /^qarr:(open|deadlines|started|bound:.*|jobs:.*:open)$/;
/** An engine notices within a step or two that nobody listens any more. */
const ENGINE_IDLE_MS = 10_000;

/** Waits until no job is open any more. False where some still are when the time is up. */
export async function untilAllIsOver(
  { redis }: World,
  { timeoutMs }: { timeoutMs: number },
): Promise<boolean> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    const left = await openJobs(redis.observer);
    if (left === 0) return true;
    if (performance.now() > deadlineMs) return false;
    await sleep(LOOK_EVERY_MS);
  }
}

/** By the records, not by the index, which may be what is wrong. */
async function openJobs(redis: World['redis']['observer']): Promise<number> {
  const ids = await redis.zrange('qarr:open', '0', '-1');
  if (ids.length === 0) return 0;
  const pipeline = redis.pipeline();
  for (const id of ids) pipeline.hget(`qarr:{${id}}:job`, 'state');
  const states = (await pipeline.exec()) ?? [];
  return states.filter(([, state]) => state === 'queued' || state === 'running').length;
}

/** Looks up every job that was ever heard of, at every replica, and reads some of them once more. */
export async function lookUpAll(
  jobIds: readonly string[],
  context: ClientContext,
  random: Random,
): Promise<void> {
  const { apis, history } = context;
  await inTurns(jobIds, async (jobId) => {
    for (const api of apis) {
      for (let left = LOOKUP_TRIES_MAX; left > 0; left -= 1) {
        const reply = await ask(`${api.url}/v1/jobs/${jobId}`, { signal: context.givenUp });
        if (reply === null || reply === 'refused' || reply.status >= 500) continue;
        const result = reply.body['result'] as { text?: unknown } | null | undefined;
        history.record({
          t: 'lookup',
          jobId,
          api: api.name,
          status: reply.status,
          jobState: textIn(reply.body['status']),
          text: textIn(result?.text),
        });
        break;
      }
    }
  });
  const late = jobIds.toSorted().slice(0, LATE_READERS_MAX);
  await inTurns(late, async (jobId) => {
    const own = random.fork(jobId);
    const plan = {
      waitMs: 0,
      fromShare: own.chance(0.5) ? own.next() : null,
      breaksAfter: null,
      leaves: false,
    };
    await readJob({ jobId, reader: `late/${jobId}`, plan }, context, own);
  });
}

/** Lists all jobs, page by page, at every replica. */
export async function listAll({ apis, history, givenUp }: ClientContext): Promise<void> {
  for (const api of apis) {
    const jobs: [string, string][] = [];
    let after: string | null = null;
    do {
      const query: string = after === null ? '' : `&after=${encodeURIComponent(after)}`;
      const reply = await ask(`${api.url}/v1/jobs?limit=${PAGE}${query}`, { signal: givenUp });
      if (reply === null || reply === 'refused' || reply.status !== 200) return;
      for (const { id, status } of reply.body['data'] as { id: string; status: string }[]) {
        jobs.push([id, status]);
      }
      after = reply.body['has_more'] === true ? textIn(reply.body['next_cursor']) : null;
    } while (after !== null && !givenUp.aborted);
    history.record({ t: 'list', api: api.name, jobs });
  }
}

/** How many requests each engine still works on, when it had time to end them. */
export async function countWorking({
  engines,
}: World): Promise<{ name: string; running: number | null }[]> {
  return Promise.all(
    engines.map(async ({ name, url }) => {
      const deadlineMs = performance.now() + ENGINE_IDLE_MS;
      let running: number | null = null;
      // A canary may be on its way at any time: one look that finds nothing is enough.
      while (running !== 0 && performance.now() < deadlineMs) {
        running = await workingAt(url);
        if (running !== 0) await sleep(LOOK_EVERY_MS);
      }
      return { name, running };
    }),
  );
}

async function workingAt(url: string): Promise<number | null> {
  try {
    const state = (await (await fetch(`${url}/_sim/state`)).json()) as {
      running: number;
      waiting: number;
    };
    return state.running + state.waiting;
  } catch {
    // It is away, and says so by that.
    return null;
  }
}

/** Entries of queues and locks end a moment after their jobs. */
export async function settledDump(
  take: () => Promise<Dump>,
  { timeoutMs }: { timeoutMs: number },
): Promise<Dump> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    const dump = await take();
    const isSettled =
      [...dump.indexes].every(([name, members]) => !OPEN.test(name) || members.length === 0) &&
      [...dump.queues.values()].every((size) => size === 0) &&
      !dump.otherKeys.some(({ name }) => name.endsWith(':lock'));
    if (isSettled || performance.now() > deadlineMs) return dump;
    await sleep(LOOK_EVERY_MS);
  }
}

async function inTurns<Item>(items: readonly Item[], task: (item: Item) => Promise<void>) {
  const left = items.values();
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (const item of left) await task(item);
    }),
  );
}
