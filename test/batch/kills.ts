/**
 * SIGKILLs at random points of a batch: of its first line, of its last, of its files, and in between. By
 * the share of lines that are done, because nobody knows how long it takes.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from '../chaos/random.ts';
import type { Kill, Poll } from './evidence.ts';
import type { World } from './world.ts';

const AWAY_MS_MAX = 2_000;
const EVERY_MS = 20;
const KINDS = ['runner', 'worker', 'redis', 'api'] as const;
/** Behind the last line: while the files are written. */
const FINALIZING = 1;

export interface Kills {
  readonly done: readonly Kill[];
  /** Waits for those that were killed to be there again. */
  stop(): Promise<void>;
}

export interface PlannedKill {
  readonly kind: Kill['kind'];
  /** Of the lines, the share that is done then. */
  readonly at: number;
}

export function startKills({
  plan,
  world,
  random,
  latest,
}: {
  /** In the order of their points. */
  plan: readonly PlannedKill[];
  world: World;
  random: Random;
  /** How the batch was seen last; null before it was made. */
  latest: () => Poll | null;
}): Kills {
  const done: Kill[] = [];
  const stopping = new AbortController();

  async function run(): Promise<void> {
    for (const { kind, at } of plan) {
      while (!isReached(latest(), at)) {
        if (stopping.signal.aborted) return;
        await sleep(EVERY_MS);
      }
      if (stopping.signal.aborted) return;
      done.push(await kill(kind, { world, random }));
    }
  }

  const running = run();
  return {
    done,
    async stop() {
      stopping.abort();
      await running;
    },
  };
}

/** Each kind as often as any other; the first in the validation, the last while files are written. */
export function drawKills(count: number, random: Random): PlannedKill[] {
  const points = Array.from({ length: count }, (_, index) => {
    if (index === 0 && count > 1) return 0;
    return index === count - 1 && count > 2 ? FINALIZING : random.next();
  }).toSorted((a, b) => a - b);
  const offset = random.int(0, KINDS.length - 1);
  return points.map((at, index) => ({
    // The file's pass, and its end, are the runner's work.
    kind:
      at === 0 || at === FINALIZING
        ? 'runner'
        : (KINDS[(index + offset) % KINDS.length] ?? 'runner'),
    at,
  }));
}

function isReached(poll: Poll | null, at: number): boolean {
  if (poll === null) return false;
  if (at === FINALIZING && poll.status === 'finalizing') return true;
  const { total, completed, failed } = poll;
  return at === 0 || (total > 0 && completed + failed >= at * total);
}

async function kill(
  kind: Kill['kind'],
  { world, random }: { world: World; random: Random },
): Promise<Kill> {
  const awayMs = random.int(0, AWAY_MS_MAX);
  const member = kind === 'redis' ? world.redis : await pick(kind, { world, random });
  const atMs = performance.now();
  await member.kill();
  await sleep(awayMs);
  await member.start();
  const name = 'name' in member ? member.name : 'redis';
  return { kind, name, atMs, backMs: performance.now() };
}

async function pick(
  kind: Exclude<Kill['kind'], 'redis'>,
  { world, random }: { world: World; random: Random },
) {
  switch (kind) {
    case 'api':
      return random.pick(world.apis);
    case 'worker':
      return random.pick(world.workers);
    case 'runner':
      return (await world.activeRunner()) ?? random.pick(world.runners);
    default:
      return kind satisfies never;
  }
}
