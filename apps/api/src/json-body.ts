/**
 * Reading bodies: JSON in valid UTF-8, and nothing else.
 *
 * An empty body counts as none, because official clients send a JSON content type with their empty
 * POSTs. A null counts as absent, because several clients send every optional field as null.
 */
import { QarrError } from '@qarr/router-core';
import type { FastifyInstance } from 'fastify';

export function acceptJson(app: FastifyInstance): void {
  const parseJson = app.getDefaultJsonParser('error', 'error');
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    'application/json',
    { parseAs: 'buffer' },
    (request, body: Buffer, done) => {
      if (request.headers['content-encoding'] !== undefined) {
        return done(
          new QarrError('unsupported_media_type', {
            message: 'Send the body without content-encoding.',
          }),
        );
      }
      const text = decodeUtf8(body);
      if (text === null) return done(new QarrError('invalid_utf8'));
      if (text.trim() === '') return done(null, undefined);
      // The library's parser refuses keys that would poison prototypes.
      parseJson(request, text, (error, value) => {
        // Its message quotes the body.
        if (error) done(new QarrError('invalid_json', { cause: error }));
        else done(null, withoutNulls(value));
      });
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

function withoutNulls(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== null));
}
