/**
 * How long each kind of process may take to stop, in milliseconds. They stop one kind after the
 * other, and all of it must fit into 10 s, with some time left for what lies between.
 */

/** How long they are told to finish or hand over what runs. */
export const DRAIN_MS = { api: 3000, batchRunner: 500, worker: 4000 } as const;

/** After its drain, a process is given this moment to end by itself. */
const AFTER_DRAIN_MS = 250;

/** When they are killed. Their sum is 9.4 s. */
export const STOP_SHARES_MS = {
  api: DRAIN_MS.api + AFTER_DRAIN_MS,
  batchRunner: DRAIN_MS.batchRunner + AFTER_DRAIN_MS,
  worker: DRAIN_MS.worker + AFTER_DRAIN_MS,
  simulator: 300,
  redis: 800,
} as const;
