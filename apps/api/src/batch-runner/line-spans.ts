/**
 * The spans of a line: it has a trace of its own, linked to that of its batch's request, as a trace of
 * fifty thousand lines could not be looked at. Where it found no room, it comes again: nothing is told
 * of the tries before, nor of one that finds its job there.
 */
import type { Span, Tracing } from '@qarr/process';
import type { BatchRecord, NewJob } from '@qarr/router-core';
import { errorType } from '../request-span.ts';
import { routeAttributes } from '../route-request.ts';
import type { RoutedRequest } from '../route-request.ts';
import { jobAttributes } from '../submit-job.ts';

export interface LineSpans {
  /** Returns the `traceparent` of its job. */
  routed(route: RoutedRequest): string;
  /** Its job is there. */
  fed(job: NewJob): void;
  refused(error: unknown): void;
}

export function beginLineSpans(
  tracing: Pick<Tracing, 'span'>,
  { batch, line }: { batch: BatchRecord; line: number },
): LineSpans {
  const attributes = { 'qarr.batch.id': batch.id, 'qarr.batch.line': line };
  const whole = tracing.span('batch_line', { link: batch.traceparent ?? null, attributes });
  const routing = tracing.span('route_inference', { parent: whole.traceparent });
  let routedAt = 0;
  let enqueuing: Span | null = null;
  return {
    routed(route) {
      routedAt = Date.now();
      if (routing.isRecorded) routing.set(routeAttributes(route));
      enqueuing = tracing.span('enqueue', { kind: 'producer', parent: whole.traceparent });
      return enqueuing.traceparent;
    },
    fed(job) {
      routing.end(routedAt);
      enqueuing?.set(jobAttributes(job));
      enqueuing?.end();
      whole.end();
    },
    refused(error) {
      const failed = enqueuing ?? routing;
      failed.fail(errorType(error));
      if (failed !== routing) routing.end(routedAt);
      failed.end();
      whole.end();
    },
  };
}
