/** Keys for an API that asks for them. */
import { createKeyStore } from '@qarr/job-store';
import { NO_LIMITS } from '@qarr/router-core';
import type { ApiKey, KeyGrant } from '@qarr/router-core';
import { createDigests, lastFour, newKeyText } from '../../apps/api/src/keys/key-text.ts';

/** For `QARR_KEY_SECRETS`. */
export const KEY_SECRET = 'a-secret-of-the-tests-longer-than-32-characters';

export interface TestKey {
  readonly id: string;
  readonly text: string;
  readonly headers: { readonly authorization: string };
}

export interface TestKeys {
  /** One that may do everything but `admin`, where nothing else is said. */
  make(grant?: Partial<KeyGrant>, options?: { text?: string; secret?: string }): Promise<TestKey>;
  revoke(keyId: string): Promise<ApiKey | null>;
  stop(): Promise<void>;
}

export async function openKeys(redisUrl: string): Promise<TestKeys> {
  const store = await createKeyStore({ redisUrl, onError: () => {} });
  return {
    async make(grant = {}, { text = newKeyText(), secret = KEY_SECRET } = {}) {
      const digest = createDigests([secret]).newest(text);
      const key = await store.create(
        {
          owner: 'acme',
          scopes: ['submit', 'read', 'cancel', 'batch'],
          maxClass: 'interactive',
          ...NO_LIMITS,
          ...grant,
        },
        { digest, lastFour: lastFour(text) },
        { lifeMs: null },
      );
      if (key === null) throw new Error('There are too many keys');
      return { id: key.id, text, headers: { authorization: `Bearer ${text}` } };
    },
    revoke: (keyId) => store.revoke(keyId),
    stop: () => store.stop(),
  };
}
