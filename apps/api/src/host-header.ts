/** The `Host` header: what a client calls this server by. */
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { QarrError } from '@qarr/router-core';

const FORM = /^[\w.:[\]-]*$/;
const PORT = /:\d*$/;

/**
 * Throws where it is not given once, or could not be part of a URL.
 *
 * @param isOpen no key is asked for. Then a page of another site must not come by a name of its own
 *   that was made to point here (DNS rebinding), as browsers would take us for its server.
 */
export function checkHost(
  { headersDistinct, httpVersion }: Pick<IncomingMessage, 'headersDistinct' | 'httpVersion'>,
  { isOpen }: { isOpen: boolean },
): void {
  const [host, ...others] = headersDistinct['host'] ?? [];
  if (host === undefined) {
    if (httpVersion === '1.1') throw refused('is missing');
    return;
  }
  // Who is in front of this server may go by another one of them.
  if (others.length > 0) throw refused('must be given once');
  // It becomes part of URLs that clients are given.
  if (!FORM.test(host)) throw refused('is malformed');
  if (isOpen && !isOwnName(host)) {
    throw refused(
      'must be localhost or an address where no keys are configured (QARR_KEY_SECRETS)',
    );
  }
}

/** Nobody can make an address, or these names, point elsewhere. */
function isOwnName(host: string): boolean {
  const name = host.replace(PORT, '').toLowerCase();
  return (
    name === '' ||
    name === 'localhost' ||
    name.endsWith('.localhost') ||
    isIP(name.replaceAll(/^\[|\]$/g, '')) !== 0
  );
}

function refused(problem: string): QarrError {
  return new QarrError('invalid_request', { message: `The host header ${problem}.` });
}
