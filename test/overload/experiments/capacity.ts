/** What the system can do: as many clients as keep every slot busy, each waiting for its answer. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Generator } from '../load/generator.ts';
import { nowMs } from '../load/outcome.ts';
import { isIn } from '../figures/window-figures.ts';
import { TIERS } from '../world/shape.ts';

/** Clients beyond the slots, so that none is ever free; far fewer than would raise an alert. */
const SURPLUS = 1.5;
const WARM_UP_MS = 8_000;
const DRAIN_MS = 30_000;

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
  await sleep(WARM_UP_MS);
  const fromMs = nowMs();
  await sleep(measuredMs);
  const toMs = nowMs();
  await endLoop(generator);

  const done = generator.outcomes.filter(
    ({ end, endedMs }) => end === 'done' && isIn(endedMs ?? 0, { fromMs, toMs }),
  );
  const perSecond = (weigh: (tokens: number) => number) =>
    Object.fromEntries(
      TIERS.map(({ name }) => {
        const own = done.filter(({ wish }) => wish.tier === name);
        const sum = own.reduce((total, { wish }) => total + weigh(wish.tokens), 0);
        return [name, sum / ((toMs - fromMs) / 1_000)];
      }),
    );
  const perS = perSecond(() => 1);
  const totalPerS = Object.values(perS).reduce((sum, value) => sum + value, 0);
  if (totalPerS === 0) throw new Error('Nothing was done while its capacity was measured.');
  return { perS, tokensPerS: perSecond((tokens) => tokens), totalPerS };
}

/** So that no part begins with processes that have done nothing yet: they are slow at first. */
export async function warmUp(generator: Generator): Promise<void> {
  generator.tell({ kind: 'closed loop', clients: clientsOf(1) });
  await sleep(WARM_UP_MS);
  await endLoop(generator);
}

function clientsOf(surplus: number): Record<string, number> {
  return Object.fromEntries(TIERS.map(({ name, slots }) => [name, Math.round(slots * surplus)]));
}

async function endLoop(generator: Generator): Promise<void> {
  generator.tell({ kind: 'closed loop', clients: clientsOf(0) });
  await generator.untilNothingIsOpen({ timeoutMs: DRAIN_MS });
}
