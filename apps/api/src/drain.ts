/** Stopping without cutting anybody off too early: what is open gets a moment to end by itself. */
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * After the moment is over, what is open says good-bye, which takes a round trip or two; where Redis
 * does not answer, each takes a second to fail.
 */
const GOODBYE_MS = 2_500;

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
  const open = new Set<() => void>();
  let isStopping = false;

  async function untilNothingOpen(ms: number): Promise<void> {
    const deadlineMs = performance.now() + ms;
    while (open.size > 0 && performance.now() < deadlineMs) await sleep(10);
  }

  return {
    get isStopping() {
      return isStopping;
    },
    over: over.signal,
    enter() {
      const leave = () => void open.delete(leave);
      open.add(leave);
      return leave;
    },
    async stop({ drainMs }) {
      isStopping = true;
      await untilNothingOpen(drainMs);
      over.abort();
      await untilNothingOpen(GOODBYE_MS);
    },
  };
}
