/**
 * The quiet gate. A slice begins only while the machine is idle, and counts only if hardly anybody else has
 * worked meanwhile: otherwise it is taken again.
 */
import { availableParallelism } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { readMachine } from './proc.ts';
import type { MachineReading } from './proc.ts';

/** Of the machine: more by others, and the slice is thrown away. */
const FOREIGN_SHARE_MAX = 0.12;
const LOOK_MS = 150;
/** So often in a row. */
const IDLE_LOOKS = 2;
/** A machine that is never idle is measured all the same; what that is worth stands in the report. */
const WAIT_MS_MAX = 10_000;
const TRIES_MAX = 3;

export interface Looked extends MachineReading {
  readonly atMs: number;
}

async function lookAtMachine(): Promise<Looked> {
  return { atMs: performance.now(), ...(await readMachine()) };
}

/** The share of all cores that others had between two looks. */
export function foreignShare(
  before: Looked,
  after: Looked,
  cores = availableParallelism(),
): number {
  const spanNs = (after.atMs - before.atMs) * 1e6 * cores;
  const others = after.busyNs - before.busyNs - (after.ownNs - before.ownNs);
  // Both are counted in ticks of 10 ms, so that a little less than nothing is nothing.
  return spanNs <= 0 ? 0 : Math.max(0, others) / spanNs;
}

export interface Gate {
  /** Resolves when the machine is idle but for us; or when it has waited for long enough. */
  untilQuiet(signal: AbortSignal): Promise<void>;
  /** Takes a slice until one is clean; the cleanest where none is. */
  take<Slice>(slice: () => Promise<Slice>, signal: AbortSignal): Promise<Taken<Slice>>;
}

export interface Taken<Slice> {
  readonly slice: Slice;
  readonly foreignShare: number;
  readonly thrownAway: number;
}

export interface GateDeps {
  readonly look: () => Promise<Looked>;
  readonly pause: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly cores: number;
}

const REAL: GateDeps = {
  look: lookAtMachine,
  pause: (ms, signal) => sleep(ms, undefined, { signal }),
  cores: availableParallelism(),
};

export function createGate({ look, pause, cores }: GateDeps = REAL): Gate {
  async function untilQuiet(signal: AbortSignal): Promise<void> {
    let idle = 0;
    let before = await look();
    const deadlineMs = before.atMs + WAIT_MS_MAX;
    while (idle < IDLE_LOOKS && before.atMs < deadlineMs) {
      await pause(LOOK_MS, signal);
      const after = await look();
      idle = foreignShare(before, after, cores) < FOREIGN_SHARE_MAX ? idle + 1 : 0;
      before = after;
    }
  }

  return {
    untilQuiet,
    async take(slice, signal) {
      const tries: Omit<Taken<Awaited<ReturnType<typeof slice>>>, 'thrownAway'>[] = [];
      while (tries.length < TRIES_MAX) {
        await untilQuiet(signal);
        const before = await look();
        const taken = await slice();
        const share = foreignShare(before, await look(), cores);
        tries.push({ slice: taken, foreignShare: share });
        if (share <= FOREIGN_SHARE_MAX) break;
      }
      const [cleanest] = tries.toSorted((one, other) => one.foreignShare - other.foreignShare);
      if (cleanest === undefined) throw new Error('No slice was taken');
      return { ...cleanest, thrownAway: tries.length - 1 };
    },
  };
}

export function isClean(share: number): boolean {
  return share <= FOREIGN_SHARE_MAX;
}

/** Takes everything as it comes: for a machine that is known to be busy, such as in tests. */
export const openGate: Gate = {
  async untilQuiet() {},
  async take(slice) {
    const before = await lookAtMachine();
    const taken = await slice();
    const share = foreignShare(before, await lookAtMachine());
    return { slice: taken, foreignShare: share, thrownAway: 0 };
  },
};
