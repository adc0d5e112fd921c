/** What a fault is: something that is done to one target, lasts, and is undone. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from '../random.ts';
import type { World } from '../world/world.ts';

export interface Strike {
  /** What is disturbed; nothing else disturbs it meanwhile. */
  readonly target: string;
  /** For the history. */
  readonly detail: string;
  /** Begins it, waits, and undoes it. An aborted signal ends the wait, never the undoing. */
  readonly run: (signal: AbortSignal) => Promise<void>;
}

export interface Fault {
  readonly name: string;
  readonly help: string;
  /** Draws where and how; null where this world has nothing for it. */
  readonly draw: (world: World, random: Random) => Strike | null;
}

/** Waits for so long, or until the run is over. */
export async function last(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, null, { signal }).catch(() => {});
}

/** One of those that are there; null for none. */
export function pickOne<Item>(items: readonly Item[], random: Random): Item | null {
  return items.length === 0 ? null : random.pick(items);
}
