/**
 * The headers of requests that make jobs, for their documentation: they are checked where they are
 * read, and all others pass.
 */
import { z } from 'zod';

export const chatHeaders = z.looseObject({
  'idempotency-key': documented(
    '1 to 255 printable ASCII characters: the same request with the same key makes no second job',
  ),
  traceparent: documented('W3C trace context, which the job takes up'),
});

export const jobHeaders = chatHeaders.extend({
  prefer: documented(
    'wait=n holds the answer until the job has ended, n seconds at most (RFC 7240)',
  ),
});

function documented(meaning: string) {
  return z.string().optional().describe(meaning);
}
