import type { Logger } from '@qarr/process';
import type { QarrError } from '@qarr/router-core';

/** Enough to find what somebody asks about; a flood of refusals must not become one of lines. */
const PER_SECOND_MAX = 20;
const WINDOW_MS = 1_000;

/**
 * Returns a function that logs a request which was refused because its tier has too much to do: so many
 * a second at `info`, the others at `debug`.
 */
export function createRefusalLog({
  perSecondMax = PER_SECOND_MAX,
  now = () => performance.now(),
}: { perSecondMax?: number; now?: () => number } = {}) {
  let windowAtMs = Number.NEGATIVE_INFINITY;
  let inWindow = 0;
  let leftOut = 0;
  return (
    log: Pick<Logger, 'info' | 'debug'>,
    { code, congestion }: QarrError,
    ids: { trace_id: string | undefined },
  ): void => {
    if (now() - windowAtMs >= WINDOW_MS) [windowAtMs, inWindow] = [now(), 0];
    inWindow += 1;
    const line = {
      ...ids,
      cause: code,
      tier: congestion?.tier,
      retry_after_ms: congestion?.retryAfterMs,
      estimated_wait_ms: congestion?.estimatedWaitMs,
      queue_depth: congestion?.queueDepth,
    };
    if (inWindow > perSecondMax) {
      leftOut += 1;
      log.debug(line, 'request refused');
      return;
    }
    log.info({ ...line, left_out: leftOut }, 'request refused');
    leftOut = 0;
  };
}
