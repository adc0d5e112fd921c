import type { FastifyReply } from 'fastify';
import type { RoutedRequest } from './route-request.ts';

/** Every answer says how it was routed. */
export function setRouteHeaders(
  reply: FastifyReply,
  { route, jobId }: { route: Pick<RoutedRequest, 'tier' | 'reasons'>; jobId?: string },
): void {
  reply.header('x-qarr-tier', route.tier);
  reply.header('x-qarr-route', route.reasons.join(', '));
  if (jobId !== undefined) reply.header('x-qarr-job', jobId);
}
