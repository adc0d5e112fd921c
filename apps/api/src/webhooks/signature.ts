/** The headers by which a receiver knows that a webhook is ours, and recent (Standard Webhooks 1.0). */
import { createHmac } from 'node:crypto';

/**
 * Per key `v1,` and base64 of HMAC-SHA256(key, `<id>.<timestamp>.<body>`), separated by spaces. The
 * body must be sent exactly as it is signed.
 *
 * Written here, because the specification's library does the same with an implementation of SHA-256
 * of its own; tests verify with that library.
 */
export function signatureHeaders({
  id,
  timestampS,
  body,
  keys,
}: {
  /** The same for every delivery of an event; without a `.`. */
  id: string;
  /** Of this delivery, in seconds. */
  timestampS: number;
  body: string;
  keys: readonly Buffer[];
}): Record<'webhook-id' | 'webhook-timestamp' | 'webhook-signature', string> {
  const signatures = keys.map((key) => {
    const hmac = createHmac('sha256', key).update(`${id}.${timestampS}.${body}`);
    return `v1,${hmac.digest('base64')}`;
  });
  return {
    'webhook-id': id,
    'webhook-timestamp': String(timestampS),
    'webhook-signature': signatures.join(' '),
  };
}
