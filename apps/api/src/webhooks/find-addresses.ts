/** Asks for all addresses of a host. */
import { Resolver, lookup } from 'node:dns/promises';
import { isIP } from 'node:net';

/**
 * Returns at least one address, or throws. Aborting ends it.
 */
export type FindAddresses = (host: string, signal: AbortSignal) => Promise<string[]>;

/** For one try of one server; the whole is bounded by the delivery's own limit. */
const TRY_MS = 2_000;
const TRIES = 2;

/**
 * Asks DNS itself, not the system's `getaddrinfo`: that runs in the few threads which the whole
 * process shares, cannot be given up, and would let one slow server of names hold up the others'.
 * It also knows names of this machine (`/etc/hosts`, search domains), which no webhook may have;
 * where private addresses are allowed it is what finds them.
 */
export function createFindAddresses({
  servers,
  allowPrivate,
}: {
  /** Null: the system's. */
  servers: readonly string[] | null;
  allowPrivate: boolean;
}): FindAddresses {
  return async (host, signal) => {
    if (isIP(host) !== 0) return [host];
    if (allowPrivate && servers === null) {
      const found = await lookup(host, { all: true });
      return found.map(({ address }) => address);
    }
    // One each: what is cancelled is all that it asks.
    const resolver = new Resolver({ timeout: TRY_MS, tries: TRIES });
    if (servers !== null) resolver.setServers(servers);
    const cancel = () => resolver.cancel();
    signal.addEventListener('abort', cancel);
    try {
      return await ask(resolver, host);
    } finally {
      signal.removeEventListener('abort', cancel);
    }
  };
}

/** Both families: a host that has only one of them is no error. */
async function ask(resolver: Resolver, host: string): Promise<string[]> {
  const answers = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)]);
  const found = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
  if (found.length > 0) return found;
  const failure = answers.find((answer) => answer.status === 'rejected');
  throw failure?.reason ?? new Error('The host has no address');
}
