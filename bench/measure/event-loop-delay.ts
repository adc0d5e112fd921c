/**
 * How late the event loop of a process is, by its own metrics. prom-client begins a new histogram with each
 * page that it makes, so that what a page says is of the time since the one before.
 */

/**
 * Node measures the time between two beats of a timer of 10 ms: a loop that is never late shows 10 ms.
 * (`monitorEventLoopDelay`, whose `resolution` prom-client leaves at its default.)
 */
const BEAT_MS = 10;

/** The 99th percentile since the last call, in ms; null where the process has no such metric. */
export async function readEventLoopDelay(opsUrl: string): Promise<number | null> {
  const response = await fetch(`${opsUrl}/metrics`);
  return eventLoopDelayIn(await response.text());
}

export function eventLoopDelayIn(page: string): number | null {
  const [, seconds] = /^nodejs_eventloop_lag_p99_seconds(?:\{[^}]*\})? (\S+)$/m.exec(page) ?? [];
  return seconds === undefined ? null : Math.max(0, Number(seconds) * 1_000 - BEAT_MS);
}
