/** Lets the queue's consumer pull as much as the engines can take, and nothing when none can. */
import type { Consumer } from '@qarr/job-store';

export interface Pulling {
  /** To be called whenever what is wanted may have changed. Rejects when the consumer cannot follow. */
  follow(): Promise<void>;
}

/**
 * `wanted` is how many jobs there may be at once; 0 pauses. Changes are made one after the other:
 * whatever happens meanwhile, the last wish is the one that holds in the end.
 */
export function createPulling(
  consumer: Pick<Consumer, 'pause' | 'resume' | 'setConcurrency'>,
  wanted: () => number,
): Pulling {
  /** As it was told last; the consumer begins paused. */
  let pulled = 0;
  let following = Promise.resolve();
  let isFollowing = false;

  async function followOn(): Promise<void> {
    try {
      for (let next = wanted(); next !== pulled; next = wanted()) {
        const before = pulled;
        pulled = next;
        if (next === 0) await consumer.pause();
        else await consumer.setConcurrency(next);
        if (next > 0 && before === 0) await consumer.resume();
      }
    } finally {
      isFollowing = false;
    }
  }

  return {
    follow() {
      if (!isFollowing) {
        isFollowing = true;
        following = followOn();
      }
      return following;
    },
  };
}
