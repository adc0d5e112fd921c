/** What the experiment and its load generator, a process of its own, say to each other. */
import type { FeedCounts } from './batch-feed.ts';
import type { LoadMix } from './mix.ts';
import type { Outcome } from './outcome.ts';

export type Command =
  | { kind: 'begin'; apis: readonly string[]; mix: LoadMix; seed: string }
  /** Of all requests, at random; 0: nobody comes any more. */
  | { kind: 'rate'; perSecond: number; classes: LoadMix['classes'] }
  /** So many clients of each tier, each of which sends its next request when it has its answer. */
  | { kind: 'closed loop'; clients: Readonly<Record<string, number>> }
  | { kind: 'feed'; lines: number; window: number }
  | { kind: 'stop feed' }
  /** Whatever is open is given up; it answers with `over`. */
  | { kind: 'end' };

export type Report =
  | { kind: 'ready' }
  | {
      kind: 'progress';
      outcomes: Outcome[];
      /** Requests that have no end yet. */
      open: number;
      /** How long `GET /healthz` took beside the load: what this rig adds to every answer, in ms. */
      controlsMs: number[];
      /** How late requests were sent, at most, in ms. */
      lateMsMax: number;
      feed: FeedCounts | null;
      /** When lines of the batch were done. */
      linesDoneMs: number[];
    }
  | { kind: 'over' };
