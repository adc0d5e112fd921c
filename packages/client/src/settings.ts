/** What a client works with: its options, completed and checked. */
import { invalidOption } from './errors.ts';
import type { ChatFallback, ClientOptions } from './options.ts';

/** As options, but complete, and with a list of bases without a slash at their ends. */
export type Settings = Readonly<typeof DEFAULTS> & {
  readonly bases: readonly string[];
  readonly fallback: ChatFallback;
};

const DEFAULTS = {
  maxRetries: 2,
  timeoutMs: 30_000,
  // Node's own fetch gives up after 300 s without headers.
  chatTimeoutMs: 240_000,
  // Some 200 MB by a line of 3 Mbit/s.
  uploadTimeoutMs: 600_000,
  retryAfterMsMax: 60_000,
  // Some ten times the longest answer with the log probabilities of all its tokens.
  answerCharsMax: 67_108_864,
  // Three heartbeats.
  silenceMs: 45_000,
  reconnectsMax: 10,
  cacheEntriesMax: 100,
};

/** Throws `invalid_option`. */
export function readOptions(options: ClientOptions): Settings {
  const bases = readBases((options as ClientOptions | undefined)?.baseUrl);
  const numbers = Object.fromEntries(
    Object.entries(DEFAULTS).map(([name, value]) => {
      const given = options[name as keyof typeof DEFAULTS] ?? value;
      if (Number.isInteger(given) && given >= 0) return [name, given];
      throw invalidOption(`${name} must be a whole number, 0 or more`);
    }),
  ) as typeof DEFAULTS;
  return { ...numbers, bases, fallback: options.fallback ?? 'none' };
}

/** The values are not repeated: one may hold a password. */
function readBases(given: unknown): readonly string[] {
  const urls: readonly unknown[] = Array.isArray(given) ? given : [given];
  if (urls.length === 0) throw invalidOption('baseUrl must name at least one replica');
  return urls.map((url) => {
    if (typeof url === 'string' && canBeAsked(url)) return withoutSuffix(url);
    throw invalidOption('baseUrl must be a URL that begins with http:// or https://, or a list');
  });
}

/** On a page a URL may be relative to it. `fetch` takes none with a password. */
function canBeAsked(url: string): boolean {
  const { location } = globalThis as { readonly location?: { readonly href: string } };
  try {
    const { protocol, username, password } = new URL(url, location?.href);
    const isWeb = protocol === 'http:' || protocol === 'https:';
    // Paths are put at its end.
    return isWeb && username === '' && password === '' && !/[?#]/.test(url);
  } catch {
    return false;
  }
}

/** OpenAI's clients are given it with `/v1`: both forms will do. */
function withoutSuffix(url: string): string {
  let end = url.length;
  while (url[end - 1] === '/') end -= 1;
  const base = url.slice(0, end);
  return base.endsWith('/v1') ? base.slice(0, -'/v1'.length) : base;
}
