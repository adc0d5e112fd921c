/** How many requests a key may make, and the headers that say what is left. */
import type { ProducerStore, RequestCount, TokenBudget } from '@qarr/job-store';
import { QarrError } from '@qarr/router-core';
import type { FastifyReply } from 'fastify';
import type { Caller } from '../caller.ts';

/** Whoever waits for a job asks for it some times; nobody should do nothing else. */
const READS_PER_SUBMIT = 20;
const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;

/** Counts a request and sets the headers; throws where there were too many in this minute. */
export async function countRequest(
  { keyId, limits }: Caller,
  {
    makesJob,
    reply,
    store,
  }: { makesJob: boolean; reply: FastifyReply; store: Pick<ProducerStore, 'countRequest'> },
): Promise<void> {
  const { rpm, tokensPerDay } = limits;
  if (keyId === null || (rpm === null && tokensPerDay === null)) return;
  const kind = makesJob ? 'submits' : 'reads';
  const max = rpm === null || makesJob ? rpm : rpm * READS_PER_SUBMIT;
  const count = await store.countRequest(keyId, kind, max);
  setRequestHeaders(reply, count, rpm);
  setTokenHeaders(reply, { ...count.tokens, limit: tokensPerDay });
  if (count.isAllowed) return;
  throw new QarrError('rate_limit_exceeded', {
    message: `Rate limit reached: ${max} ${makesJob ? 'requests' : 'reading requests'} per minute for this key.`,
    retryAfterMs: Math.max(1, count.retryAfterMs),
  });
}

function setRequestHeaders(
  reply: FastifyReply,
  { submits }: RequestCount,
  limit: number | null,
): void {
  if (limit !== null) setHeaders(reply, 'requests', { ...submits, limit });
}

/** Nothing where the key has no such limit. */
export function setTokenHeaders(reply: FastifyReply, budget: TokenBudget): void {
  if (budget.limit !== null) setHeaders(reply, 'tokens', { ...budget, limit: budget.limit });
}

function setHeaders(
  reply: FastifyReply,
  what: 'requests' | 'tokens',
  { limit, used, resetMs }: { limit: number; used: number; resetMs: number },
): void {
  reply.header(`x-ratelimit-limit-${what}`, limit);
  reply.header(`x-ratelimit-remaining-${what}`, Math.max(0, limit - used));
  reply.header(`x-ratelimit-reset-${what}`, duration(resetMs));
}

/** As OpenAI writes it: `12ms`, `1s`, `6m0s`, `23h59m5s`. Never shorter than it is. */
export function duration(ms: number): string {
  if (ms < SECOND_MS) return `${Math.ceil(ms)}ms`;
  const whole = Math.ceil(ms / SECOND_MS) * SECOND_MS;
  const hours = Math.floor(whole / HOUR_MS);
  const minutes = Math.floor((whole % HOUR_MS) / MINUTE_MS);
  const seconds = (whole % MINUTE_MS) / SECOND_MS;
  if (hours > 0) return `${hours}h${minutes}m${seconds}s`;
  return minutes > 0 ? `${minutes}m${seconds}s` : `${seconds}s`;
}
