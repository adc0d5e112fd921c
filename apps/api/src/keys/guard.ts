/** Who comes, whether its key may do what it asks for, and whether it has asked too often. */
import type { ProducerStore } from '@qarr/job-store';
import { QarrError } from '@qarr/router-core';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { ANYBODY, NOBODY, requireScope } from '../caller.ts';
import type { Caller } from '../caller.ts';
import type { Authenticate } from './authenticate.ts';
import { countRequest } from './request-limits.ts';
import type { ReadTokens } from './read-token.ts';

/** The only route whose readers may show a token in place of a key. */
const EVENTS_ROUTE = '/v1/jobs/:id/events';

export interface Keys {
  readonly authenticate: Authenticate;
  readonly tokens: ReadTokens;
}

/** @param keys null where none are configured: everybody is the same owner then */
export function guardRoutes(
  app: FastifyInstance,
  { keys, store }: { keys: Keys | null; store: Pick<ProducerStore, 'countRequest'> },
): void {
  app.decorateRequest('caller');
  app.addHook('onRoute', ({ config, method, url }) => {
    // A route that says nothing would be open to everybody.
    if (config?.access === undefined) {
      throw new Error(`${String(method)} ${url} does not say who may use it: config.access`);
    }
  });
  // Before the body is read: nothing is done for those who may do nothing.
  app.addHook('onRequest', async (request, reply) => {
    request.caller = keys === null ? ANYBODY : NOBODY;
    if (keys !== null && !request.is404) await guard(request, { keys, store, reply });
  });
}

async function guard(
  request: FastifyRequest,
  {
    keys,
    store,
    reply,
  }: { keys: Keys; store: Pick<ProducerStore, 'countRequest'>; reply: FastifyReply },
): Promise<void> {
  // What a plugin has added asks for a key: it does not say.
  const { access = 'any' } = request.routeOptions.config;
  if (access === 'public') return;
  request.caller = await callerOf(request, keys).catch((error: unknown) => {
    if (error instanceof QarrError && error.code === 'invalid_api_key') {
      reply.header('www-authenticate', 'Bearer');
    }
    throw error;
  });
  if (access !== 'any') requireScope(request.caller, access);
  const makesJob = access === 'submit' && request.method === 'POST';
  await countRequest(request.caller, { makesJob, reply, store });
}

async function callerOf(request: FastifyRequest, keys: Keys): Promise<Caller> {
  const { authorization } = request.headers;
  const { token } = request.query as { token?: unknown };
  const takesToken = request.method === 'GET' && request.routeOptions.url === EVENTS_ROUTE;
  if (authorization !== undefined || !takesToken || typeof token !== 'string') {
    return keys.authenticate.byHeader(authorization);
  }
  const { id = '' } = request.params as { id?: string };
  return keys.authenticate.byId(await keys.tokens.verify(token, id));
}
