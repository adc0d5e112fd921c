import { STATUS_CODES } from 'node:http';
import type { FastifyInstance } from 'fastify';
import type { Persona } from '../personas.ts';
import { errorBody } from '../protocol/error-body.ts';
import { RequestError } from '../protocol/request-error.ts';

/** Answers every failure in the error shape of the persona. */
export function replyWithErrors(app: FastifyInstance, persona: Persona): void {
  app.setErrorHandler((error, _request, reply) => {
    const refusal = error instanceof RequestError ? error : fromUnexpected(error);
    return reply.status(refusal.status).send(errorBody(refusal, persona.errors));
  });
  app.setNotFoundHandler((request, reply) => {
    const url = request.url.split('?', 1)[0] ?? '';
    const known = (['GET', 'POST'] as const).some((method) => app.hasRoute({ method, url }));
    const refusal = httpError(known ? 405 : 404);
    // Only newer vLLM words what its framework refuses; before, that is FastAPI's own answer.
    const format = persona.errors === 'nested' ? 'nested' : 'detail';
    return reply.status(refusal.status).send(errorBody(refusal, format));
  });
}

function fromUnexpected(error: unknown): RequestError {
  const status =
    typeof error === 'object' && error !== null && 'statusCode' in error
      ? Number(error.statusCode)
      : 500;
  const message = error instanceof Error ? error.message : 'Internal server error';
  if (status < 500) return new RequestError({ status, type: 'Bad Request', message });
  return new RequestError({ status: 500, type: 'InternalServerError', message });
}

function httpError(status: number): RequestError {
  const phrase = STATUS_CODES[status] ?? 'Error';
  return new RequestError({ status, type: phrase, message: phrase });
}
