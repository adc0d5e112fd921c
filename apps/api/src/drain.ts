/** Stopping without cutting anybody off too early: what is open gets a moment to end by itself. */
import { setTimeout as sleep } from 'node:timers/promises';

/** After the moment is over, what is open says good-bye, which takes a round trip or two. */
const GOODBYE_MS = 1_000;

export interface Drain {
  /** No new work is taken. */
  readonly isStopping: boolean;
  /** Aborted when what is still open must end now. */
  readonly over: AbortSignal;
  /** Something that may take long begins. Call what is returned when it has ended. */
  enter(): () => void;
  /** Waits for what is open, `drainMs` at most, then makes it end. */
  stop(options: { drainMs: number }): Promise<void>;
}

export function createDrain(): Drain {
  const over = new AbortController();
  let open = 0;
  let isStopping = false;

  async function untilNothingOpen(ms: number): Promise<void> {
    const deadlineMs = performance.now() + ms;
    while (open > 0 && performance.now() < deadlineMs) await sleep(10);
  }

  return {
    get isStopping() {
      return isStopping;
    },
    over: over.signal,
    enter() {
      let hasLeft = false;
      open += 1;
      return () => {
        if (!hasLeft) open -= 1;
        hasLeft = true;
      };
    },
    async stop({ drainMs }) {
      isStopping = true;
      await untilNothingOpen(drainMs);
      over.abort();
      await untilNothingOpen(GOODBYE_MS);
    },
  };
}
