/** The nemesis: strikes at random times, several faults at once, each of them undone. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { History } from '../history.ts';
import type { Random } from '../random.ts';
import type { World } from '../world/world.ts';
import type { Fault, Strike } from './fault.ts';

/** A fault every 1 to 5 s. */
const PAUSE_MS = [1_000, 5_000] as const;
/** Draws for a target that is not being disturbed already. */
const DRAWS_MAX = 10;
const ROLL_EVERY_MS = 10_000;

export interface Nemesis {
  /** Undoes what was done. */
  stop(): Promise<void>;
}

interface NemesisOptions {
  readonly world: World;
  readonly faults: readonly Fault[];
  readonly history: History;
  readonly random: Random;
  /** A fault that could not be done or undone: a mistake of the runner. */
  readonly onError: (error: Error) => void;
}

/** Chooses among the faults until it is stopped. */
export function startNemesis(
  options: NemesisOptions & { pauseMs?: readonly [number, number] },
): Nemesis {
  const { world, faults, random, pauseMs = PAUSE_MS } = options;
  const striking = createStriking(options);

  function drawFree(): { fault: Fault; strike: Strike } | null {
    for (let draws = 0; draws < DRAWS_MAX; draws += 1) {
      const fault = random.pick(faults);
      const strike = fault.draw(world, random);
      if (strike !== null && !striking.isBusy(strike.target)) return { fault, strike };
    }
    return null;
  }

  async function strikeUntilStopped(): Promise<void> {
    while (!striking.signal.aborted) {
      await sleep(random.int(...pauseMs), null, { signal: striking.signal }).catch(() => {});
      const drawn = striking.signal.aborted ? null : drawFree();
      if (drawn !== null) void striking.begin(drawn.fault.name, drawn.strike);
    }
  }

  const going = strikeUntilStopped();
  return {
    async stop() {
      striking.abort();
      await going;
      await striking.over();
    },
  };
}

/** A deployment that never ends: each process in turn, one every few seconds. */
export function startRolling(options: Omit<NemesisOptions, 'faults' | 'random'>): Nemesis {
  const { world } = options;
  const striking = createStriking(options);

  async function rollUntilStopped(): Promise<void> {
    const members = [...world.workers, ...world.apis];
    for (let turn = 0; !striking.signal.aborted; turn += 1) {
      await sleep(ROLL_EVERY_MS / members.length, null, { signal: striking.signal }).catch(
        () => {},
      );
      const member = members[turn % members.length];
      if (member === undefined || striking.signal.aborted) continue;
      await striking.begin(`roll-${member.kind}`, {
        target: member.name,
        detail: '',
        async run() {
          await member.terminate();
          await member.start();
        },
      });
    }
  }

  const going = rollUntilStopped();
  return {
    async stop() {
      striking.abort();
      await going;
      await striking.over();
    },
  };
}

/** What is being done at the moment. */
function createStriking({ history, onError }: Pick<NemesisOptions, 'history' | 'onError'>) {
  const stopping = new AbortController();
  const underWay = new Map<string, Promise<void>>();

  async function carryOut(fault: string, { target, detail, run }: Strike): Promise<void> {
    const fromMs = history.nowMs();
    try {
      await run(stopping.signal);
    } catch (error) {
      // A target that another fault has taken away cannot be disturbed as well.
      onError(new Error(`${fault} of ${target}: ${(error as Error).message}`, { cause: error }));
    }
    history.record({ t: 'fault', fault, target, detail, fromMs });
    underWay.delete(target);
  }

  return {
    signal: stopping.signal,
    isBusy: (target: string) => underWay.has(target),
    begin(fault: string, strike: Strike): Promise<void> {
      const struck = carryOut(fault, strike);
      underWay.set(strike.target, struck);
      return struck;
    },
    abort: () => stopping.abort(),
    over: async () => void (await Promise.all(underWay.values())),
  };
}
