/** From what a request brings to the caller on whose behalf it comes. */
import type { FoundKey, ProducerStore, ReadKey } from '@qarr/job-store';
import { QarrError, isUsable } from '@qarr/router-core';
import type { ApiKey } from '@qarr/router-core';
import type { Caller } from '../caller.ts';
import { createDigests, hasKeyForm } from './key-text.ts';
import { createShortCache } from './short-cache.ts';

/** A key that is revoked is refused everywhere after so long, and as long as a look-up takes. */
export const KEY_CACHE_MS = 2_000;
/** Some hundred bytes each. */
const ENTRIES_MAX = 10_000;

export interface Authenticate {
  /** By a header; throws where it names no key that may be used. */
  byHeader(authorization: string | undefined): Promise<Caller>;
  /** By its id, for those who have proved otherwise that they act for it. */
  byId(keyId: string): Promise<Caller>;
}

export function createAuthenticate({
  store,
  secrets,
  now = Date.now,
}: {
  store: Pick<ProducerStore, 'findKey' | 'getKey'>;
  /** Newest first, at least one. */
  secrets: readonly string[];
  /** Milliseconds since the epoch, by the clock of this process. */
  now?: () => number;
}): Authenticate {
  const digests = createDigests(secrets);
  const limits = { forMs: KEY_CACHE_MS, entriesMax: ENTRIES_MAX };
  const byDigest = createShortCache<FoundKey>(limits);
  const byKeyId = createShortCache<ReadKey>(limits);

  return {
    async byHeader(authorization) {
      if (authorization === undefined) {
        throw new QarrError('invalid_api_key', {
          message:
            "You didn't provide an API key. Send it in an Authorization header: Authorization: Bearer YOUR_KEY.",
        });
      }
      const text = bearerOf(authorization);
      if (text === null || !hasKeyForm(text)) throw new QarrError('invalid_api_key');
      const candidates = digests.all(text);
      // All of it: two keys may begin alike.
      const found = await byDigest.get(candidates[0] ?? '', () => store.findKey(candidates));
      if (found === null) throw new QarrError('invalid_api_key');
      const { key, text: used, clockAheadMs } = found;
      return callerIf(isUsable({ ...key, texts: [used] }, now() + clockAheadMs), key);
    },

    async byId(keyId) {
      const found = await byKeyId.get(keyId, () => store.getKey(keyId));
      if (found === null) throw new QarrError('invalid_api_key');
      return callerIf(isUsable(found.key, now() + found.clockAheadMs), found.key);
    },
  };
}

/** The name of the scheme has no case. */
function bearerOf(authorization: string): string | null {
  const [scheme = '', text = ''] = authorization.split(' ', 2);
  return scheme.toLowerCase() === 'bearer' ? text : null;
}

function callerIf(isGood: boolean, key: ApiKey): Caller {
  if (!isGood) throw new QarrError('invalid_api_key');
  const { id, owner, scopes, maxClass, rpm, concurrency, tokensPerDay } = key;
  return {
    owner,
    keyId: id,
    scopes: new Set(scopes),
    maxClass,
    limits: { rpm, concurrency, tokensPerDay },
  };
}
