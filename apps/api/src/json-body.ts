/**
 * Reading bodies: JSON in valid UTF-8, and nothing else.
 *
 * An empty body counts as none, because official clients send a JSON content type with their empty
 * POSTs. A null counts as absent, because several clients send every optional field as null; only
 * as a message's content it is a value, and in what is the client's own: metadata and JSON schemas.
 */
import { QarrError } from '@qarr/router-core';
import type { FastifyInstance } from 'fastify';
import { DEPTH_MAX, VALUES_MAX, isWithinLimits } from './json-limits.ts';

/** Fields whose content is the client's own: what is wrong there shall be said, not left out. */
const TAKEN_AS_THEY_ARE = new Set(['metadata', 'parameters', 'schema']);
const TOO_COMPLEX = `The body must hold at most ${VALUES_MAX} values, nested at most ${DEPTH_MAX} deep.`;

export function acceptJson(app: FastifyInstance): void {
  const parseJson = app.getDefaultJsonParser('error', 'error');
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
      if (!isWithinLimits(text)) {
        return done(new QarrError('invalid_request', { message: TOO_COMPLEX }));
      }
      // The library's parser refuses keys that would poison prototypes.
      void parseJson(request, text, (error, value) => {
        // Its message quotes the body.
        if (error) return done(new QarrError('invalid_json', { cause: error }));
        done(null, withoutNulls(value));
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
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (typeof value !== 'object' || value === null) return value;
  const fields = Object.entries(value).filter(
    ([name, field]) => field !== null || name === 'content',
  );
  return Object.fromEntries(
    fields.map(([name, field]) => [
      name,
      TAKEN_AS_THEY_ARE.has(name) ? field : withoutNulls(field),
    ]),
  );
}
