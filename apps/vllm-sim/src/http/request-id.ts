import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

/** The id of a request: the header X-Request-Id wins, then the body's field, then a random one. */
export function requestIdOf(headers: IncomingHttpHeaders, field: string | undefined): string {
  const header = headers['x-request-id'];
  if (typeof header === 'string' && header !== '') return header;
  return field ?? randomUUID().replaceAll('-', '');
}
