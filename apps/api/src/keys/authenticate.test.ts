import type { FoundKey } from '@qarr/job-store';
import { NO_LIMITS, QarrError } from '@qarr/router-core';
import type { ApiKey } from '@qarr/router-core';
import { describe, expect, it } from 'vitest';
import { createAuthenticate } from './authenticate.ts';
import { createDigests, newKeyText } from './key-text.ts';

const SECRETS = ['new-secret-of-more-than-32-characters', 'old-secret-of-more-than-32-characters'];
const NOW = 1_800_000_000_000;

/** A store with one key, which counts how often it is asked. */
function world({
  revokedAt = null,
  until = null,
  secrets = SECRETS,
  clockAheadMs = 0,
}: {
  revokedAt?: number | null;
  until?: number | null;
  secrets?: string[];
  clockAheadMs?: number;
} = {}) {
  const text = newKeyText();
  const digest = createDigests(secrets).newest(text);
  const keyText = { digest, lastFour: text.slice(-4), until };
  const key: ApiKey = {
    id: 'key_1',
    owner: 'acme',
    scopes: ['read'],
    maxClass: 'standard',
    ...NO_LIMITS,
    rpm: 5,
    createdAt: 0,
    revokedAt,
    texts: [keyText],
  };
  const asked: (readonly string[])[] = [];
  const store = {
    isDown: false,
    async findKey(digests: readonly string[]): Promise<FoundKey | null> {
      asked.push(digests);
      if (store.isDown) throw new QarrError('queue_unavailable');
      return digests.includes(digest) ? { key, text: keyText, clockAheadMs } : null;
    },
    getKey: async (id: string) => (id === key.id ? { key, clockAheadMs } : null),
  };
  const authenticate = createAuthenticate({ store, secrets: SECRETS, now: () => NOW });
  return {
    text,
    store,
    asked,
    by: (header?: string) => authenticate.byHeader(header),
    authenticate,
  };
}

const REFUSED = { code: 'invalid_api_key' };

describe('a key in a header', () => {
  it('makes its owner the caller, with what it may do', async () => {
    const { by, text, authenticate } = world();
    const caller = {
      owner: 'acme',
      keyId: 'key_1',
      scopes: new Set(['read']),
      maxClass: 'standard',
      limits: { rpm: 5, concurrency: null, tokensPerDay: null },
    };
    expect(await by(`Bearer ${text}`)).toEqual(caller);
    expect(await authenticate.byId('key_1')).toEqual(caller);
    await expect(authenticate.byId('key_2')).rejects.toMatchObject(REFUSED);
  });

  it('is looked up by all digests at once, and only once in a while', async () => {
    const { by, text, asked } = world({ secrets: SECRETS.slice(1) });
    await Promise.all([by(`Bearer ${text}`), by(`Bearer ${text}`)]);
    await by(`Bearer ${text}`);
    expect(asked).toEqual([createDigests(SECRETS).all(text)]);
    // Nothing that was sent goes further than here.
    expect(JSON.stringify(asked)).not.toContain(text);
  });

  it.each([
    ['revoked', { revokedAt: NOW - 1 }],
    ['over', { until: NOW }],
    ["over by Redis's clock", { until: NOW + 60_000, clockAheadMs: 60_000 }],
  ])('is refused where it is %s', async (_name, options) => {
    const { by, text, authenticate } = world(options);
    await expect(by(`Bearer ${text}`)).rejects.toMatchObject(REFUSED);
    await expect(authenticate.byId('key_1')).rejects.toMatchObject(REFUSED);
  });

  it("is good for as long as it is by Redis's clock", async () => {
    const { by, text, authenticate } = world({ until: NOW - 59_999, clockAheadMs: -60_000 });
    expect(await by(`Bearer ${text}`)).toMatchObject({ owner: 'acme' });
    expect(await authenticate.byId('key_1')).toMatchObject({ owner: 'acme' });
  });

  it.each([[undefined], ['Bearer sk-1'], ['Bearer qarr-short'], ['Basic qarr'], ['']])(
    'is not looked for in %j',
    async (header) => {
      const { by, asked } = world();
      await expect(by(header)).rejects.toMatchObject(REFUSED);
      expect(asked).toEqual([]);
    },
  );

  it('that nobody knows is asked for once in a while', async () => {
    const { by, asked } = world();
    const header = `Bearer ${newKeyText()}`;
    await expect(by(header)).rejects.toMatchObject(REFUSED);
    await expect(by(header)).rejects.toMatchObject(REFUSED);
    expect(asked).toHaveLength(1);
  });

  it('is neither right nor wrong where the store does not answer', async () => {
    const { by, text, store } = world();
    store.isDown = true;
    await expect(by(`Bearer ${text}`)).rejects.toMatchObject({ code: 'queue_unavailable' });
    store.isDown = false;
    expect(await by(`Bearer ${text}`)).toMatchObject({ owner: 'acme' });
  });
});
