/**
 * How many of a worker's slots are for batches. Foreground, which somebody waits for, comes first:
 *
 * - none while the tier's queue alerts, and none where there is no batch;
 * - the floor while foreground waits: one seat in the whole tier, so that no batch stands still;
 * - otherwise more with each step, until all slots are in use but for what foreground uses and a
 *   headroom: whoever comes next finds a slot that is free.
 *
 * It grows as TCP does: by doubling, up to half of what was given up when foreground had to wait, and
 * from there by a little. What runs is never ended for that: a seat is taken back when its job ends.
 */
import type { TierLoad, WorkerStatus } from '@qarr/router-core';

/** Share of the slots that batches leave free. */
const HEADROOM_SHARE = 0.2;
/** Growth beyond doubling takes so many steps for all slots. */
const ADDING_STEPS = 16;

export interface BatchSeats {
  readonly seats: number;
  readonly doublesUpTo: number;
}

export const NO_SEATS: BatchSeats = { seats: 0, doublesUpTo: Infinity };

export interface Situation {
  /** Jobs that the worker's engines take at once. */
  readonly slots: number;
  /** The most jobs of the foreground that ran here at once since the last step. */
  readonly foregroundPeak: number;
  /** No slot here is free for foreground. */
  readonly isFull: boolean;
  readonly load: Pick<TierLoad, 'waiting' | 'running' | 'isAlerting'>;
  /** This worker keeps the tier's one seat for batches. */
  readonly hasFloor: boolean;
}

/** To be called in regular steps. */
export function nextSeats(before: BatchSeats, situation: Situation): BatchSeats {
  const { slots, isFull, load } = situation;
  const { interactive, standard, batch } = load.waiting;
  const batchJobs = batch.jobs + load.running.batch.jobs;
  if (batchJobs === 0) return NO_SEATS;
  if (slots === 0) return { ...before, seats: 0 };
  if (load.isAlerting) return shrunk(before, 0);
  const isWaitedFor = interactive.jobs + standard.jobs > 0;
  // With a slot that is free, whoever waits is about to get it.
  if (isWaitedFor && isFull) return shrunk(before, floorOf(situation));

  const mayGrow = !isWaitedFor && batch.jobs > 0;
  const next = giveWay(mayGrow ? grown(before, slots) : before, situation);
  return { ...next, seats: Math.min(batchJobs, Math.max(next.seats, floorOf(situation))) };
}

/** Between two steps, as foreground takes up the headroom: it shall be free again. */
export function giveWay(
  before: BatchSeats,
  situation: Pick<Situation, 'slots' | 'foregroundPeak' | 'hasFloor'>,
): BatchSeats {
  const seatsMax = Math.max(floorOf(situation), roomFor(situation));
  return before.seats <= seatsMax ? before : { ...before, seats: seatsMax };
}

function grown({ seats, doublesUpTo }: BatchSeats, slots: number): BatchSeats {
  const next =
    seats < doublesUpTo
      ? Math.min(doublesUpTo, Math.max(1, 2 * seats))
      : seats + Math.ceil(slots / ADDING_STEPS);
  return { seats: next, doublesUpTo };
}

function shrunk(before: BatchSeats, seats: number): BatchSeats {
  if (before.seats <= seats) return { ...before, seats };
  return { seats, doublesUpTo: Math.max(1, Math.floor(before.seats / 2)) };
}

function roomFor({ slots, foregroundPeak }: Pick<Situation, 'slots' | 'foregroundPeak'>): number {
  // What foreground has used lately would be all there is.
  if (slots === 1) return 1;
  return Math.max(0, slots - foregroundPeak - headroomOf(slots));
}

/** A single slot has no headroom: a batch has it while nobody else wants it. */
export function headroomOf(slots: number): number {
  return slots === 1 ? 0 : Math.ceil(slots * HEADROOM_SHARE);
}

function floorOf({ slots, hasFloor }: Pick<Situation, 'slots' | 'hasFloor'>): number {
  return hasFloor ? Math.min(1, slots) : 0;
}

/**
 * Whether this worker keeps the tier's floor: the first by its id of those who can do so and still
 * have a slot for foreground. Where all have a single slot, one of them keeps it if there are others;
 * where there is one slot in all, batches have to wait until nobody wants it.
 *
 * @param workers as their heartbeats say, in any order
 */
export function keepsFloor(workerId: string, workers: readonly WorkerStatus[]): boolean {
  const pulling = workers.filter(({ breaker, slots }) => breaker === 'closed' && slots > 0);
  const roomy = pulling.filter(({ slots }) => slots > 1);
  if (roomy.length === 0 && pulling.length < 2) return false;
  const able = roomy.length > 0 ? roomy : pulling;
  return able.every(({ id }) => workerId <= id) && able.some(({ id }) => id === workerId);
}

/** How many jobs of each kind there may be at once. */
export interface Shares {
  readonly foreground: number;
  readonly batch: number;
}

/**
 * Together with what runs they are never more than `jobsMax`: a seat that a batch still has, or may
 * take, is none for foreground.
 */
export function shareOut({
  jobsMax,
  seats,
  running,
}: {
  /** What runs, and what may begin. */
  jobsMax: number;
  seats: number;
  running: Shares;
}): Shares {
  const batch = Math.max(0, Math.min(seats, jobsMax - running.foreground));
  return { foreground: Math.max(0, jobsMax - Math.max(batch, running.batch)), batch };
}
