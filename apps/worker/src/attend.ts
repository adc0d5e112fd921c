/**
 * Looks once in a while how the jobs stand that this worker holds. So one that was cancelled, taken
 * over or deleted is noticed although its engine is silent and no message came: nothing else would
 * tell an attempt that writes nothing.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { JobStanding } from '@qarr/job-store';
import type { Stop } from './conclusion.ts';

/** An engine's slot is free within about a second of what made its request pointless. */
export const ATTEND_MS = 1_000;

/** A job that this worker holds, and what to do when its standing is known. */
export interface Held {
  readonly jobId: string;
  /** Null: the job is gone. */
  readonly onStanding: (standing: JobStanding | null) => void;
}

/** What an attempt must do, by how its job stands; null: go on. */
export function stopOf(attempt: number, standing: JobStanding | null): Stop | null {
  if (standing === null || standing.state !== 'running') return 'superseded';
  if (standing.attempt !== attempt) return 'superseded';
  return standing.cancelRequested ? 'cancel' : null;
}

export interface Attending {
  stop(): void;
}

/** Begins at once. A look that fails is not the end: the next one may succeed. */
export function startAttending({
  held,
  look,
  everyMs,
  onError,
}: {
  held: () => readonly Held[];
  look: (jobIds: readonly string[]) => Promise<readonly (JobStanding | null)[]>;
  everyMs: number;
  onError: (error: Error) => void;
}): Attending {
  const stopping = new AbortController();
  const { signal } = stopping;

  async function attend(): Promise<void> {
    // Those that begin while Redis answers are not meant by its answer.
    const now = held();
    if (now.length === 0) return;
    const standings = await look(now.map(({ jobId }) => jobId));
    for (const [index, { onStanding }] of now.entries()) onStanding(standings[index] ?? null);
  }

  async function attendUntilStopped(): Promise<void> {
    while (!signal.aborted) {
      await attend().catch(onError);
      await sleep(everyMs, null, { signal }).catch(() => {});
    }
  }

  void attendUntilStopped();
  return { stop: () => stopping.abort() };
}
