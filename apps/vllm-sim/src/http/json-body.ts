import type { FastifyInstance, FastifyRequest } from 'fastify';
import { RequestError } from '../protocol/request-error.ts';

/** Parses bodies as vLLM does: whatever is not application/json, or not JSON, is a 400. */
export function acceptJsonOnly(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, text, done) => {
    try {
      done(null, JSON.parse(String(text)));
    } catch {
      // What the parser says of the text is not repeated: it would quote it.
      done(malformedJson());
    }
  });
}

/** An onRequest hook for routes with a body. */
export function requireJson(request: FastifyRequest, _reply: unknown, done: () => void): void {
  const mediaType = request.headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase();
  if (mediaType !== 'application/json') {
    throw new RequestError({
      status: 400,
      type: 'Bad Request',
      message: "1 validation error:\n  Unsupported Media Type: Only 'application/json' is allowed",
    });
  }
  done();
}

function malformedJson(): RequestError {
  return new RequestError({
    status: 400,
    type: 'Bad Request',
    message:
      "1 validation error:\n  {'type': 'json_invalid', 'loc': ('body', 0), 'msg': 'JSON decode error', 'input': {}, 'ctx': {'error': 'Expecting value'}}",
  });
}
