/** A world, its load generator and everybody who watches, for one experiment. */
import { setTimeout as sleep } from 'node:timers/promises';
import { startGenerator } from '../load/generator.ts';
import type { Generator } from '../load/generator.ts';
import type { LoadMix } from '../load/mix.ts';
import { nowMs } from '../load/outcome.ts';
import type { Window } from '../figures/window-figures.ts';
import { sharesOf, watchCpu } from '../world/cpu.ts';
import type { CpuWatch } from '../world/cpu.ts';
import type { Deadlines } from '../world/shape.ts';
import { watchTiers } from '../world/tiers-watch.ts';
import type { TiersWatch } from '../world/tiers-watch.ts';
import { startWorld } from '../world/world.ts';
import type { World } from '../world/world.ts';

export interface Session {
  readonly world: World;
  readonly generator: Generator;
  readonly tiers: TiersWatch;
  readonly cpu: CpuWatch;
}

/** The load at this rate for so long; it goes on afterwards. */
export async function holdRate(
  { generator }: Session,
  { perSecond, classes, forMs }: { perSecond: number; classes: LoadMix['classes']; forMs: number },
): Promise<Window> {
  generator.tell({ kind: 'rate', perSecond, classes });
  const fromMs = nowMs();
  await sleep(forMs);
  return { fromMs, toMs: nowMs() };
}

/** Nobody comes any more; waits until the foreground work that was accepted must have ended. */
export async function drain({ generator }: Session, deadlines: Deadlines): Promise<void> {
  generator.tell({
    kind: 'rate',
    perSecond: 0,
    classes: { interactive: 1, standard: 0, batch: 0 },
  });
  const { standardQueueMs, runMs } = deadlines;
  await generator.untilNothingIsOpen({ timeoutMs: standardQueueMs + runMs });
}

/** Runs `work` in a session of its own, and ends all of it, however that ends. */
export async function inSession<Result>(
  {
    deadlines,
    watchedTier,
    mix,
    seed,
  }: { deadlines: Deadlines; watchedTier?: string; mix: LoadMix; seed: string },
  work: (session: Session) => Promise<Result>,
): Promise<{ result: Result; mistakes: string[]; folder: string | null }> {
  const world = await startWorld({ deadlines, watchedTier: watchedTier ?? null });
  let keepsFolder = true;
  try {
    const generator = await startGenerator({ apis: world.apis, mix, seed });
    const session = {
      world,
      generator,
      tiers: watchTiers(world.apis),
      cpu: watchCpu(() => ({
        ...world.pids(),
        generator: generator.pid,
        experiment: process.pid,
      })),
    };
    try {
      const result = await work(session);
      await generator.stop();
      const mistakes = mistakesOf(session);
      keepsFolder = mistakes.length > 0;
      return { result, mistakes, folder: keepsFolder ? world.folder : null };
    } finally {
      session.tiers.stop();
      session.cpu.stop();
    }
  } finally {
    await world.stop({ keepsFolder });
  }
}

/** Whatever was the bottleneck, it must be an engine: no process of ours may be near a whole core. */
const CPU_SHARE_MAX = 0.85;
/** Later than this, a request was not sent when it was due. */
const LATE_MS_MAX = 100;
const LATE_SHARE_MAX = 0.01;

/** What makes the figures of an experiment worth nothing. */
function mistakesOf({ world, generator, cpu }: Session): string[] {
  const mistakes = world.crashes().map((name) => `${name} has ended by itself`);
  const notSent = generator.outcomes.filter(({ end }) => end === 'not sent').length;
  if (notSent > 0) mistakes.push(`the load generator had no room for ${notSent} requests`);
  const late = generator.lateness.filter(({ lateMs }) => lateMs > LATE_MS_MAX).length;
  if (late > generator.lateness.length * LATE_SHARE_MAX) {
    mistakes.push(`the load generator was late in ${late} of ${generator.lateness.length} moments`);
  }
  const [first, last] = [cpu.samples[0], cpu.samples.at(-1)];
  if (first !== undefined && last !== undefined) {
    for (const [name, share] of Object.entries(
      sharesOf(cpu.samples, { fromMs: first.atMs, toMs: last.atMs }),
    )) {
      if (name !== 'machine' && share > CPU_SHARE_MAX) {
        mistakes.push(`${name} used ${Math.round(share * 100)} % of a core`);
      }
    }
  }
  return mistakes;
}
