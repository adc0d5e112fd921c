import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Persona } from '../personas.ts';
import { RequestError, schemaError } from '../protocol/request-error.ts';

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

/** An onRequest hook for routes with a body: refuses what does not say that it is JSON. */
export function requireJson(
  persona: Persona,
): (request: FastifyRequest, reply: unknown, done: () => void) => void {
  return (request, _reply, done) => {
    const mediaType = request.headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase();
    if (mediaType === 'application/json') {
      done();
      return;
    }
    const message = "Unsupported Media Type: Only 'application/json' is allowed";
    throw persona.mediaTypeStatus === 400
      ? schemaError([message])
      : new RequestError({
          status: persona.mediaTypeStatus,
          type: 'Unsupported Media Type',
          message,
        });
  };
}

function malformedJson(): RequestError {
  return schemaError([
    "{'type': 'json_invalid', 'loc': ('body', 0), 'msg': 'JSON decode error', 'input': {}, 'ctx': {'error': 'Expecting value'}}",
  ]);
}
