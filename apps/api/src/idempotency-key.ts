/** The `Idempotency-Key` header, and what it stands for. */
import { createHash } from 'node:crypto';
import { QarrError, canonicalJson } from '@qarr/router-core';
import type { IdempotencyKey } from '@qarr/router-core';
import type { FastifyRequest } from 'fastify';

const HEADER = 'idempotency-key';
/** A UUID has 36. It becomes part of a name in Redis. */
const CHARS_MAX = 255;
const PRINTABLE_ASCII = /^[\x20-\x7e]+$/;

/** Undefined where there is none; throws where it is not valid. */
export function idempotencyKeyOf(request: FastifyRequest): IdempotencyKey | undefined {
  // Elsewhere Node has joined those that are given several times.
  const values = request.raw.headersDistinct[HEADER];
  if (values === undefined) return undefined;
  const [key = ''] = values;
  if (values.length > 1 || key.length > CHARS_MAX || !PRINTABLE_ASCII.test(key)) {
    throw new QarrError('invalid_request', {
      param: 'Idempotency-Key',
      message: `Idempotency-Key must be given once, with 1 to ${CHARS_MAX} printable ASCII characters.`,
    });
  }
  return { key, bodyHash: hashOf(request.routeOptions.url ?? '', request.body) };
}

/**
 * Two bodies are the same when their fields are, whatever their order and spacing. A route's own
 * fields are part of it: the same body means something else elsewhere.
 */
function hashOf(route: string, body: unknown): string {
  return createHash('sha256')
    .update(`${route}\n${canonicalJson(body)}`)
    .digest('base64url');
}
