/** What the system can do: as many clients as keep every slot busy, each waiting for its answer. */
import { setTimeout as sleep } from 'node:timers/promises';
import { isIn } from '../figures/window-figures.ts';
import type { Window } from '../figures/window-figures.ts';
import type { Generator } from '../load/generator.ts';
import { nowMs } from '../load/outcome.ts';
import type { Outcome } from '../load/outcome.ts';
import { TIERS } from '../world/shape.ts';

/** Clients beyond the slots, so that none is ever free; far fewer than would raise an alert. */
const SURPLUS = 1.5;
const DRAIN_MS = 30_000;
/** Processes get faster while they run in: they are warm when one look finds no more than the last. */
const LOOK_MS = 5_000;
const LOOKS_MAX = 8;
const STILL_FASTER = 1.05;

export interface Capacity {
  /** Jobs per second, by tier. */
  readonly perS: Readonly<Record<string, number>>;
  readonly tokensPerS: Readonly<Record<string, number>>;
  readonly totalPerS: number;
}

export async function measureCapacity(
  generator: Generator,
  { measuredMs }: { measuredMs: number },
): Promise<Capacity> {
  generator.tell({ kind: 'closed loop', clients: clientsOf(SURPLUS) });
  await untilWarm(generator);
  const window = await pass(measuredMs);
  await endLoop(generator);

  const done = doneIn(generator, window);
  const perSecond = (weigh: (outcome: Outcome) => number) =>
    Object.fromEntries(
      TIERS.map(({ name }) => {
        const own = done.filter(({ wish }) => wish.tier === name);
        const sum = own.reduce((total, outcome) => total + weigh(outcome), 0);
        return [name, sum / ((window.toMs - window.fromMs) / 1_000)];
      }),
    );
  const perS = perSecond(() => 1);
  const totalPerS = Object.values(perS).reduce((sum, value) => sum + value, 0);
  if (totalPerS === 0) throw new Error('Nothing was done while its capacity was measured.');
  return { perS, tokensPerS: perSecond(({ wish }) => wish.tokens), totalPerS };
}

/** So that no part begins with processes that have done nothing yet. */
export async function warmUp(generator: Generator): Promise<void> {
  generator.tell({ kind: 'closed loop', clients: clientsOf(SURPLUS) });
  await untilWarm(generator);
  await endLoop(generator);
}

async function untilWarm(generator: Generator): Promise<void> {
  let before = 0;
  for (let look = 0; look < LOOKS_MAX; look += 1) {
    const window = await pass(LOOK_MS);
    const perS = doneIn(generator, window).length / (window.toMs - window.fromMs);
    if (look > 0 && perS <= before * STILL_FASTER) return;
    before = perS;
  }
}

function clientsOf(surplus: number): Record<string, number> {
  return Object.fromEntries(TIERS.map(({ name, slots }) => [name, Math.round(slots * surplus)]));
}

async function endLoop(generator: Generator): Promise<void> {
  generator.tell({ kind: 'closed loop', clients: clientsOf(0) });
  await generator.untilNothingIsOpen({ timeoutMs: DRAIN_MS });
}

async function pass(forMs: number): Promise<Window> {
  const fromMs = nowMs();
  await sleep(forMs);
  return { fromMs, toMs: nowMs() };
}

function doneIn({ outcomes }: Generator, window: Window): Outcome[] {
  return outcomes.filter(({ end, endedMs }) => end === 'done' && isIn(endedMs ?? 0, window));
}
