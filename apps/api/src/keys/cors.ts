/** Which pages in browsers may use the API. */
import cors from '@fastify/cors';
import type { FastifyInstance } from 'fastify';

/** What pages may read beside the few that browsers always let them. */
const EXPOSED = [
  'x-request-id',
  'openai-processing-ms',
  'retry-after',
  'retry-after-ms',
  'x-should-retry',
  'x-ratelimit-limit-requests',
  'x-ratelimit-remaining-requests',
  'x-ratelimit-reset-requests',
  'x-ratelimit-limit-tokens',
  'x-ratelimit-remaining-tokens',
  'x-ratelimit-reset-tokens',
  'x-qarr-job',
  'x-qarr-tier',
  'x-qarr-route',
  'x-qarr-fallback',
  'x-qarr-cache',
  'x-qarr-continued',
  'idempotent-replayed',
  'location',
  'preference-applied',
];
/** Browsers ask no more often; they have limits of their own. */
const MAX_AGE_S = 600;

/** Preflights are answered before any key is asked for: browsers send none with them. */
export async function allowOrigins(
  app: FastifyInstance,
  origins: readonly string[] | '*',
): Promise<void> {
  await app.register(cors, {
    origin: origins === '*' ? '*' : [...origins],
    methods: ['GET', 'HEAD', 'POST', 'DELETE'],
    // Those that the page asks for: official clients send many, such as x-stainless-*. None is trusted.
    exposedHeaders: EXPOSED,
    maxAge: MAX_AGE_S,
    // Keys are headers, so that nothing is sent by browsers on their own.
    credentials: false,
    strictPreflight: false,
  });
}
