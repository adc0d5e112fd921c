/**
 * Tells those who follow a job that waits where it stands: one clock for all streams, which asks for
 * many places at once. What it says is in no log, and whoever misses it has lost nothing.
 */
import type { ProducerStore } from '@qarr/job-store';
import { placeAt } from '@qarr/router-core';
import type { JobClass, QueuePlace } from '@qarr/router-core';
import type { TierWatch } from './tier-watch.ts';

const EVERY_MS = 1_000;
/** Of more streams than this, each has its turn every few seconds. */
const PLACES_PER_ROUND = 500;

export interface QueuedJob {
  readonly id: string;
  readonly tier: string;
  readonly class: JobClass;
}

export interface Positions {
  /** Calls `tell` when the position is another than was told, until what is returned is called. */
  follow(job: QueuedJob, reader: Reader): () => void;
  /** Where a job stands now; null where it does not wait. */
  placeOf(job: QueuedJob): Promise<QueuePlace | null>;
  stop(): void;
}

interface Reader {
  /** The position that it knows. */
  readonly told: number | null;
  readonly tell: (place: QueuePlace) => void;
}

export function createPositions({
  store,
  watch,
  everyMs = EVERY_MS,
  perRound = PLACES_PER_ROUND,
}: {
  store: Pick<ProducerStore, 'placesOf'>;
  watch: Pick<TierWatch, 'snapshots'>;
  everyMs?: number;
  perRound?: number;
}): Positions {
  /** Who has waited longest for its turn comes first. */
  const followers = new Set<{ job: QueuedJob; tell: Reader['tell']; told: number | null }>();
  let isAsking = false;

  async function tellAll(): Promise<void> {
    const round = [...followers].slice(0, perRound);
    if (round.length === 0) return;
    const positions = await store.placesOf(round.map(({ job }) => job.id));
    for (const [index, follower] of round.entries()) {
      // It has been started meanwhile.
      if (!followers.delete(follower)) continue;
      followers.add(follower);
      const position = positions[index] ?? null;
      if (position === null || position === follower.told) continue;
      follower.told = position;
      follower.tell(placeNow(follower.job, position));
    }
  }

  function placeNow(job: QueuedJob, position: number): QueuePlace {
    const tier = watch.snapshots().find(({ name }) => name === job.tier);
    if (tier === undefined) return { position, estimatedWaitMs: null };
    return placeAt(tier, { class: job.class, position });
  }

  const clock = setInterval(() => {
    // Redis is slow: the next round comes when this one has ended.
    if (isAsking) return;
    isAsking = true;
    void tellAll()
      // It is gone for now: nobody is told anything.
      .catch(() => {})
      .finally(() => (isAsking = false));
  }, everyMs);

  return {
    follow(job, { told, tell }) {
      const follower = { job, told, tell };
      followers.add(follower);
      return () => void followers.delete(follower);
    },
    async placeOf(job) {
      const [position = null] = await store.placesOf([job.id]);
      return position === null ? null : placeNow(job, position);
    },
    stop: () => clearInterval(clock),
  };
}
