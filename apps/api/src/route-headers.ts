import type { JobRecord, Rerouted } from '@qarr/router-core';
import type { FastifyBaseLogger, FastifyReply } from 'fastify';
import { setTokenHeaders } from './keys/request-limits.ts';
import type { RoutedRequest } from './route-request.ts';
import type { AcceptedJob } from './submit-job.ts';

/** Every answer says how it was routed. */
export function setRouteHeaders(
  reply: FastifyReply,
  route: Pick<RoutedRequest, 'tier' | 'reasons'>,
): void {
  reply.header('x-qarr-tier', route.tier);
  reply.header('x-qarr-route', route.reasons.join(', '));
}

/** And that of a job names it, and says whether it was there already. */
export function setJobHeaders(
  reply: FastifyReply,
  { job, log }: { job: AcceptedJob; log: FastifyBaseLogger },
): void {
  const { id, tier, place, isCached, budget } = job;
  setRouteHeaders(reply, job);
  setTierHeaders(reply, job);
  if (budget !== null) setTokenHeaders(reply, budget);
  if (isCached) reply.header('x-qarr-cache', 'hit');
  reply.header('x-qarr-job', id);
  if (place === null) reply.header('idempotent-replayed', 'true');
  reply.request.span.set({ 'qarr.job.id': id, 'qarr.job.attached': place === null });
  if (place === null) log.info({ job_id: id, tier }, 'request attached to its job');
}

/** Which tier has it; another one than at first, perhaps, when the answer comes with its end. */
export function setTierHeaders(
  reply: FastifyReply,
  { tier, rerouted }: Pick<JobRecord, 'tier' | 'rerouted'>,
): void {
  reply.header('x-qarr-tier', tier);
  if (rerouted !== null) reply.header('x-qarr-fallback', fallbackHeader(rerouted, tier));
}

/** Under OpenAI's name: how long the client waited for what follows; of a stream, for its headers. */
export function setProcessingTime(reply: FastifyReply): void {
  reply.header('openai-processing-ms', Math.round(reply.elapsedTime));
}

/** A dictionary of structured fields (RFC 8941). */
function fallbackHeader({ from, reason }: Rerouted, to: string): string {
  return `from=${from}, to=${to}, reason=${reason}`;
}
