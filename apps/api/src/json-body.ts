/**
 * Reading bodies: JSON in valid UTF-8, and nothing else.
 *
 * An empty body counts as none, because official clients send a JSON content type with their empty
 * POSTs.
 */
import { QarrError, parseStrictJson } from '@qarr/router-core';
import type { FastifyInstance } from 'fastify';

export function acceptJson(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    'application/json',
    { parseAs: 'buffer' },
    (request, body: Buffer, done) => {
      if ((request.headers['content-encoding'] ?? 'identity') !== 'identity') {
        return done(
          new QarrError('unsupported_media_type', {
            message: 'Send the body without content-encoding.',
          }),
        );
      }
      const text = decodeUtf8(body);
      if (text === null) return done(new QarrError('invalid_utf8'));
      if (text.trim() === '') return done(null, undefined);
      let value: unknown;
      try {
        value = parseStrictJson(text);
      } catch (error) {
        return done(error as Error);
      }
      done(null, value);
    },
  );
}

function decodeUtf8(body: Buffer): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(body);
  } catch {
    return null;
  }
}
