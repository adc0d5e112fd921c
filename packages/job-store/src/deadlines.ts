/**
 * When a job's time is up: to be started, to run, or to be cancelled. The index of deadlines may be
 * too early, never too late: `expire.lua` decides, and says when to look again.
 */

/**
 * A live worker ends a job by itself within a second, with what it knows of it; a slow Redis and a
 * busy machine may make it some more. Nobody else ends a job that runs before this is over.
 */
export const WORKER_GRACE_MS = 10_000;

/** When the time of a job that has been started is up. Milliseconds by Redis's clock. */
export function runDeadline(job: { startedAt: number; runTimeoutMs: number }): number {
  return job.startedAt + job.runTimeoutMs + WORKER_GRACE_MS;
}

/** When a job that runs though it was cancelled is ended by others. */
export function cancelDeadline(cancelAt: number): number {
  return cancelAt + WORKER_GRACE_MS;
}
