/**
 * The API keys. What a client sends is stored nowhere: a key is found by the keyed digest of it, which
 * only those can make who have the secret.
 */
import { randomBytes, timingSafeEqual } from 'node:crypto';
import { apiKeySchema, isUsable } from '@qarr/router-core';
import type { ApiKey, KeyGrant, KeyText } from '@qarr/router-core';
import type { RedisClient } from './redis-client.ts';
import { answered } from './answered.ts';
import { connectProducer, disconnect, whenReady } from './connections.ts';
import { createKeys } from './keys.ts';
import type { Keys } from './keys.ts';
import { runScript } from './scripts.ts';
import { redisNow } from './workers.ts';

/** A list of all is read at once. */
const KEYS_MAX = 10_000;
/** One that cannot be used any more is listed for so long. */
const REMEMBER_MS = 30 * 24 * 3_600_000;
/** Somebody else changes the same key at the same moment: that does not happen often. */
const TRIES_MAX = 5;

export interface ReadKey {
  readonly key: ApiKey;
  /** How far Redis's clock, by which keys end, is ahead of this process's. */
  readonly clockAheadMs: number;
}

export interface FoundKey extends ReadKey {
  /** The one that was used. */
  readonly text: KeyText;
}

type NewText = Pick<KeyText, 'digest' | 'lastFour'>;

export interface ApiKeys {
  /** The key of one of these digests; it may be revoked or over. */
  find(digests: readonly string[]): Promise<FoundKey | null>;
  get(keyId: string): Promise<ReadKey | null>;
  /** Newest first. */
  list(): Promise<ApiKey[]>;
  /** Null where there are too many. `lifeMs`: null for one that does not end. */
  create(
    grant: KeyGrant,
    text: NewText,
    options: { lifeMs: number | null },
  ): Promise<ApiKey | null>;
  /** Null where there is no such key. */
  revoke(keyId: string): Promise<ApiKey | null>;
  /**
   * Gives it another text; those that it has are good for `overlapMs` more. Null where there is no such
   * key, or where it cannot be used any more.
   */
  rotate(keyId: string, text: NewText, options: { overlapMs: number }): Promise<ApiKey | null>;
}

export function createApiKeys({ redis, keys }: { redis: RedisClient; keys: Keys }): ApiKeys {
  const [records, digestsKey] = keys.apiKeys;

  /** Returns false where it was changed since it was read. */
  async function write(before: string, after: ApiKey, gone: readonly KeyText[] = []) {
    const removed = gone.map(({ digest }) => digest);
    const known = after.texts.map(({ digest }) => digest);
    const args = [after.id, before, JSON.stringify(after), removed.length, ...removed, ...known];
    return (await runScript(redis, 'key-write', { keys: keys.apiKeys, args })) === 1;
  }

  async function forget(json: string): Promise<void> {
    const { id, texts } = apiKeySchema.parse(JSON.parse(json));
    const digests = texts.map(({ digest }) => digest);
    const args = [id, json, '', digests.length, ...digests];
    await runScript(redis, 'key-write', { keys: keys.apiKeys, args });
  }

  /** `change` returns null for a key that is to stay as it is. */
  async function change(
    keyId: string,
    to: (key: ApiKey, now: number) => { key: ApiKey; gone: readonly KeyText[] } | null,
  ): Promise<ApiKey | null> {
    for (let tries = 0; tries < TRIES_MAX; tries += 1) {
      const json = await redis.hget(records, keyId);
      if (json === null) return null;
      const changed = to(apiKeySchema.parse(JSON.parse(json)), await redisNow(redis));
      if (changed === null) return null;
      if (await write(json, changed.key, changed.gone)) return changed.key;
    }
    throw new Error(`The key ${keyId} changes all the time`);
  }

  async function clockAheadMs(): Promise<number> {
    return (await redisNow(redis)) - Date.now();
  }

  return {
    async find(digests) {
      const ids = await redis.hmget(digestsKey, ...digests);
      const at = ids.findIndex((id) => id !== null);
      const json = at === -1 ? null : await redis.hget(records, ids[at] ?? '');
      if (json === null) return null;
      const key = apiKeySchema.parse(JSON.parse(json));
      // The index only proposes.
      const text = key.texts.find(({ digest }) => isSame(digest, digests[at] ?? ''));
      return text === undefined ? null : { key, text, clockAheadMs: await clockAheadMs() };
    },

    async get(keyId) {
      const json = await redis.hget(records, keyId);
      if (json === null) return null;
      return { key: apiKeySchema.parse(JSON.parse(json)), clockAheadMs: await clockAheadMs() };
    },

    async list() {
      const all = Object.values(await redis.hgetall(records));
      const parsed = all.map((json) => apiKeySchema.parse(JSON.parse(json)));
      return parsed.toSorted((one, other) => other.createdAt - one.createdAt);
    },

    async create(grant, text, { lifeMs }) {
      const now = await redisNow(redis);
      const all = Object.values(await redis.hgetall(records));
      const over = all.filter((json) => isOver(apiKeySchema.parse(JSON.parse(json)), now));
      for (const json of over) await forget(json);
      if (all.length - over.length >= KEYS_MAX) return null;
      const key: ApiKey = {
        ...grant,
        id: `key_${randomBytes(12).toString('hex')}`,
        createdAt: now,
        revokedAt: null,
        texts: [{ ...text, until: lifeMs === null ? null : now + lifeMs }],
      };
      await write('', key);
      return key;
    },

    revoke: (keyId) =>
      change(keyId, (key, now) => ({ key: { ...key, revokedAt: key.revokedAt ?? now }, gone: [] })),

    rotate: (keyId, text, { overlapMs }) =>
      change(keyId, (key, now) => {
        if (!isUsable(key, now)) return null;
        const until = now + overlapMs;
        const [newest] = key.texts;
        const former = key.texts
          .map((one) => ({ ...one, until: Math.min(one.until ?? until, until) }))
          .filter((one) => now < one.until);
        const gone = key.texts.filter(({ digest }) => !former.some((one) => one.digest === digest));
        // One that ends goes on to end when it would have.
        const texts = [{ ...text, until: newest?.until ?? null }, ...former];
        return { key: { ...key, texts }, gone };
      }),
  };
}

/** For whoever manages them. */
export async function createKeyStore({
  redisUrl,
  root,
  onError,
}: {
  redisUrl: string;
  /** First part of every Redis key. */
  root?: string | undefined;
  onError: (error: Error) => void;
}): Promise<ApiKeys & { stop(): Promise<void> }> {
  const redis = connectProducer({ redisUrl, onError });
  await whenReady(redis, redisUrl);
  const keys = createApiKeys({ redis, keys: createKeys(root) });
  return {
    find: (digests) => answered(keys.find(digests)),
    get: (keyId) => answered(keys.get(keyId)),
    list: () => answered(keys.list()),
    create: (grant, text, options) => answered(keys.create(grant, text, options)),
    revoke: (keyId) => answered(keys.revoke(keyId)),
    rotate: (keyId, text, options) => answered(keys.rotate(keyId, text, options)),
    stop: () => disconnect(redis),
  };
}

function isSame(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)];
  return a.length === b.length && timingSafeEqual(a, b);
}

/** Nobody can use it, and has not been able to for long. */
function isOver(key: ApiKey, now: number): boolean {
  const before = now - REMEMBER_MS;
  if (key.revokedAt !== null) return key.revokedAt < before;
  return !isUsable(key, before) && key.createdAt < before;
}
