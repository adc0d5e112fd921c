/** The addresses of a worker's engines. */

/** A worker watches each of its engines; more of them need more workers. */
const UPSTREAMS_MAX = 64;

export type UpstreamUrls =
  | { kind: 'urls'; urls: readonly string[] }
  /** Never with the text itself, which may hold a password. */
  | { kind: 'refused'; problem: string };

/** From URLs with or without a final `/v1` to base URLs without it. */
export function readUpstreamUrls(given: readonly string[]): UpstreamUrls {
  const urls: string[] = [];
  for (const text of given) {
    const url = URL.parse(text);
    if (url === null || !/^https?:$/.test(url.protocol)) return refused('must be an http(s) URL');
    // Such parts would show in logs, or would not reach the engine.
    if ([url.username, url.password, url.search, url.hash].some((part) => part !== '')) {
      return refused('must be an http(s) URL without user, query or fragment');
    }
    urls.push(text.replace(/\/+$/, '').replace(/\/v1$/, ''));
  }
  if (new Set(urls).size < urls.length) return refused('must name each engine once');
  if (urls.length > UPSTREAMS_MAX) return refused(`must be at most ${UPSTREAMS_MAX} engines`);
  return { kind: 'urls', urls };
}

/** Of a list that is separated by commas. */
export function splitUrls(list: string): string[] {
  return list
    .split(',')
    .map((url) => url.trim())
    .filter((url) => url !== '');
}

function refused(problem: string): UpstreamUrls {
  return { kind: 'refused', problem };
}
