/**
 * Shares a worker's slots between the two queues of its tier: `batch-seats.ts` says how many are for
 * batches, and this has each queue's consumer follow.
 *
 * It looks at the load of the tier in steps. Between them it watches what it runs itself: as soon as
 * foreground has taken all slots that were free for it, batches give way, so that the next slot that
 * comes free, whose ever it was, goes to foreground.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Consumer, QueueKind, WorkerStore } from '@qarr/job-store';
import { NO_SEATS, giveWay, keepsFloor, nextSeats, shareOut } from './batch-seats.ts';
import type { Shares } from './batch-seats.ts';
import { createPulling } from './pulling.ts';

/** From no seat to nearly all of 32 takes six steps. */
const STEP_MS = 250;
/** Where there is no batch at all, one may wait for so long before it is noticed. */
const IDLE_STEP_MS = 1_000;
/** Who keeps the floor changes when workers come and go. */
const FLOOR_EVERY_MS = 2_000;
/**
 * What foreground has used in the last one to two times so many steps, which is 4 to 8 s, it may soon use
 * again: about as long as jobs run that would be in its way.
 */
const PEAK_STEPS = 16;

const NOTHING: Shares = { foreground: 0, batch: 0 };

export interface Sharing {
  /** Entries that are worked on. */
  readonly running: Shares;
  /** How many there may be of each. */
  shares(): Shares;
  /** An entry of this queue is taken. Returns what is to be called when it is done with. */
  enter(queue: QueueKind): () => void;
  /** To be called whenever the capacity may be another. Rejects when a consumer cannot follow. */
  follow(): Promise<void>;
  /** Looks no more at the load. */
  stop(): void;
}

export function createSharing({
  workerId,
  consumers,
  capacity,
  load,
  workers,
  onFailed,
  onError,
  stepMs = STEP_MS,
  idleStepMs = IDLE_STEP_MS,
}: {
  workerId: string;
  /** Both are paused. */
  consumers: Readonly<Record<QueueKind, Pick<Consumer, 'pause' | 'resume' | 'setConcurrency'>>>;
  /** `slots` 0: nothing is pulled, whatever runs. */
  capacity: () => { readonly slots: number; readonly jobsMax: number };
  load: WorkerStore['load'];
  workers: WorkerStore['workers'];
  /** A consumer cannot follow. */
  onFailed: (error: Error) => void;
  onError: (error: Error) => void;
  stepMs?: number;
  idleStepMs?: number;
}): Sharing {
  const stopping = new AbortController();
  const running = { foreground: 0, batch: 0 };
  const peak = createPeak();
  let batch = NO_SEATS;
  let hasFloor = false;
  let floorKnownMs = -Infinity;

  const pullings = {
    foreground: createPulling(consumers.foreground, () => shares().foreground),
    batch: createPulling(consumers.batch, () => shares().batch),
  };

  function shares(): Shares {
    const { slots, jobsMax } = capacity();
    // What runs on engines that are not ready is no reason to pull.
    return slots === 0 ? NOTHING : shareOut({ jobsMax, seats: batch.seats, running });
  }

  async function follow(): Promise<void> {
    await Promise.all([pullings.foreground.follow(), pullings.batch.follow()]);
  }

  function followOn(): void {
    follow().catch(onFailed);
  }

  function isFull(): boolean {
    return running.foreground >= shares().foreground;
  }

  /** Returns whether there is any batch. */
  async function step(): Promise<boolean> {
    const now = await load();
    const hasBatch = now.waiting.batch.jobs + now.running.batch.jobs > 0;
    if (hasBatch) await findFloor();
    batch = nextSeats(batch, {
      slots: capacity().slots,
      foregroundPeak: peak.with(running.foreground),
      isFull: isFull(),
      load: now,
      hasFloor,
    });
    peak.step(running.foreground);
    followOn();
    return hasBatch;
  }

  async function findFloor(): Promise<void> {
    const nowMs = performance.now();
    if (nowMs - floorKnownMs < FLOOR_EVERY_MS) return;
    hasFloor = keepsFloor(workerId, await workers());
    floorKnownMs = nowMs;
  }

  async function stepUntilStopped(): Promise<void> {
    let hasBatch = false;
    while (!stopping.signal.aborted) {
      try {
        hasBatch = await step();
      } catch (error) {
        // The seats stay as they are.
        if (!stopping.signal.aborted) onError(error as Error);
      }
      const ms = hasBatch ? stepMs : idleStepMs;
      await sleep(ms, null, { signal: stopping.signal }).catch(() => {});
    }
  }

  void stepUntilStopped();

  return {
    running,
    shares,
    enter(queue) {
      running[queue] += 1;
      if (queue === 'foreground') {
        const foregroundPeak = peak.with(running.foreground);
        if (isFull()) {
          batch = giveWay(batch, { slots: capacity().slots, foregroundPeak, hasFloor });
          followOn();
        }
      }
      return () => {
        running[queue] -= 1;
        followOn();
      };
    },
    follow,
    stop: () => stopping.abort(),
  };
}

/** The most that there has been lately. */
function createPeak() {
  let [before, now, steps] = [0, 0, 0];
  return {
    with(count: number): number {
      now = Math.max(now, count);
      return Math.max(before, now);
    },
    step(count: number): void {
      steps += 1;
      if (steps % PEAK_STEPS === 0) [before, now] = [now, count];
    },
  };
}
