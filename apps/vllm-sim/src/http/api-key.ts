import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyInstance } from 'fastify';

/** Asks for `Authorization: Bearer <key>` on the guarded paths and nowhere else, as vLLM's --api-key does. */
export function requireApiKey(
  app: FastifyInstance,
  { apiKey, guardedPrefixes }: { apiKey: string; guardedPrefixes: readonly string[] },
): void {
  const expected = digest(`Bearer ${apiKey}`);
  app.addHook('onRequest', (request, reply, done) => {
    const given = digest(request.headers.authorization ?? '');
    const guarded = guardedPrefixes.some((prefix) => request.url.startsWith(prefix));
    if (guarded && !timingSafeEqual(given, expected)) {
      void reply.status(401).send({ error: 'Unauthorized' });
      return;
    }
    done();
  });
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
