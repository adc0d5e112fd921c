import type { Tracing } from '@qarr/process';

/** A job has gone to another tier than the one it was routed to: a span of no length, to be found. */
export function traceFallback(
  tracing: Pick<Tracing, 'span'>,
  { from, to, reason, parent }: { from: string; to: string; reason: string; parent: string | null },
): void {
  const attributes = { 'fallback.from': from, 'fallback.to': to, 'fallback.reason': reason };
  tracing.span('fallback', { parent, attributes }).end();
}
