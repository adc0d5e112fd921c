/**
 * What `REDIS_URL` may say: one server, a primary that sentinels watch, or a cluster.
 *
 *   redis://[user:password@]host[:6379][/database]
 *   redis+sentinel://[user:password@]host[:26379],…/name[?sentinel_username=…&sentinel_password=…]
 *   redis+cluster://[user:password@]host[:6379],…
 *
 * `rediss` in place of `redis` means TLS, to the sentinels too. User, password and name are
 * percent-encoded. What cannot be read is refused with a reason that never repeats a secret.
 */

export interface RedisNode {
  readonly host: string;
  readonly port: number;
}

interface Access {
  readonly tls: boolean;
  readonly username: string | undefined;
  readonly password: string | undefined;
}

export type RedisAddress = Access &
  (
    | { readonly kind: 'server'; readonly node: RedisNode; readonly database: number }
    | {
        readonly kind: 'sentinel';
        readonly sentinels: readonly RedisNode[];
        /** By which the sentinels know the primary. */
        readonly name: string;
        readonly sentinelUsername: string | undefined;
        readonly sentinelPassword: string | undefined;
      }
    | { readonly kind: 'cluster'; readonly nodes: readonly RedisNode[] }
  );

export type ReadRedisUrl = RedisAddress | { readonly kind: 'invalid'; readonly problem: string };

const EXAMPLES =
  'redis://127.0.0.1:6379, redis+sentinel://host:26379,host:26379/name or redis+cluster://host:6379,host:6379';
const SHAPE =
  /^(?<scheme>rediss?(?:\+sentinel|\+cluster)?):\/\/(?:(?<access>[^@/?#]*)@)?(?<hosts>[^@/?#]+)(?:\/(?<path>[^/?#]*))?(?:\?(?<query>[^#]*))?$/i;
/** A name, an IPv4 address, or an IPv6 address in brackets; then perhaps a port. */
const NODE = /^(?<host>[\w.-]+|\[[\da-f:.]+\])(?::(?<port>\d{1,5}))?$/i;
const PORT = 6_379;
const SENTINEL_PORT = 26_379;
const PORT_MAX = 65_535;
const DATABASE_MAX = 65_535;
const SENTINEL_OPTIONS = ['sentinel_username', 'sentinel_password'] as const;

class Refused extends Error {}

export function readRedisUrl(url: string): ReadRedisUrl {
  try {
    return read(url);
  } catch (error) {
    if (error instanceof Refused) return { kind: 'invalid', problem: error.message };
    throw error;
  }
}

/** For messages: without user, password and options. Of one that cannot be read, nothing. */
export function describeRedis(url: string): string {
  const address = readRedisUrl(url);
  switch (address.kind) {
    case 'server':
      return nodeText(address.node);
    case 'sentinel':
      return `${address.name} of the sentinels ${address.sentinels.map(nodeText).join(', ')}`;
    case 'cluster':
      return `the cluster of ${address.nodes.map(nodeText).join(', ')}`;
    case 'invalid':
      return 'an address that cannot be read';
    default:
      return address satisfies never;
  }
}

/** With the brackets of an IPv6 address. */
export function nodeText({ host, port }: RedisNode): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function read(url: string): RedisAddress {
  const parts = SHAPE.exec(url.trim())?.groups;
  if (parts === undefined) throw new Refused(`must be a URL such as ${EXAMPLES}`);
  const scheme = (parts['scheme'] ?? '').toLowerCase();
  const access = { tls: scheme.startsWith('rediss'), ...credentials(parts['access']) };
  const kind = scheme.split('+')[1] ?? 'server';
  const nodes = nodesOf(parts['hosts'] ?? '', kind === 'sentinel' ? SENTINEL_PORT : PORT);
  const path = decoded(parts['path'] ?? '', 'path');
  const options = optionsOf(parts['query'] ?? '', kind === 'sentinel' ? SENTINEL_OPTIONS : []);
  if (kind === 'sentinel') {
    if (path === '')
      throw new Refused('must end with the name of the primary: redis+sentinel://…/name');
    return {
      kind,
      sentinels: nodes,
      name: path,
      ...access,
      sentinelUsername: options.get('sentinel_username'),
      sentinelPassword: options.get('sentinel_password'),
    };
  }
  if (kind === 'cluster') {
    if (path !== '') throw new Refused('must not name a database: a cluster has one');
    return { kind, nodes, ...access };
  }
  const [node, second] = nodes;
  if (node === undefined || second !== undefined) {
    throw new Refused('names several servers: is it redis+sentinel:// or redis+cluster://?');
  }
  return { kind: 'server', node, database: databaseOf(path), ...access };
}

function credentials(text: string | undefined): Pick<Access, 'username' | 'password'> {
  if (text === undefined) return { username: undefined, password: undefined };
  const colon = text.indexOf(':');
  const username = colon === -1 ? text : text.slice(0, colon);
  const password = colon === -1 ? '' : text.slice(colon + 1);
  return {
    username: decoded(username, 'user') || undefined,
    password: decoded(password, 'password') || undefined,
  };
}

function nodesOf(hosts: string, ifUnset: number): RedisNode[] {
  return hosts.split(',').map((text) => {
    const parts = NODE.exec(text.trim())?.groups;
    const port = Number(parts?.['port'] ?? ifUnset);
    if (parts === undefined || port < 1 || port > PORT_MAX) {
      throw new Refused(
        `must name hosts as host:port, with commas between them (such as ${EXAMPLES})`,
      );
    }
    return { host: (parts['host'] ?? '').replaceAll(/^\[|\]$/g, ''), port };
  });
}

function optionsOf(query: string, known: readonly string[]): Map<string, string> {
  const options = new Map<string, string>();
  for (const part of query.split('&').filter((text) => text !== '')) {
    const equals = part.indexOf('=');
    const name = equals === -1 ? part : part.slice(0, equals);
    if (!known.includes(name)) {
      const allowed = known.length === 0 ? 'none here' : known.join(' and ');
      throw new Refused(`has an option that is not known (there is ${allowed})`);
    }
    options.set(name, decoded(equals === -1 ? '' : part.slice(equals + 1), name));
  }
  return options;
}

function databaseOf(path: string): number {
  const database = Number(path);
  if (!/^\d*$/.test(path) || database > DATABASE_MAX) {
    throw new Refused('must end with the number of a database, or with none');
  }
  return database;
}

function decoded(text: string, what: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // Which text it was is nobody's business: it may be a password.
    throw new Refused(`has a ${what} that is not percent-encoded as a URL wants it`);
  }
}
