import { expect, it } from 'vitest';
import { createOwnRedis } from '../harness/own-redis.ts';
import { createStores } from '../harness/store.ts';

it('finds nothing wrong with a Redis that is set as it must be', async () => {
  const { url } = await createOwnRedis();
  const store = await createStores({ redisUrl: url }).producer();
  expect(await store.check()).toEqual({ fatal: [], volatile: [] });
});

it.each(['producer', 'worker'] as const)(
  'tells a %s what to set where jobs could be lost',
  async (role) => {
    const { url } = await createOwnRedis();
    const stores = createStores({ redisUrl: url });
    const store = await stores[role]();
    await stores.redis.config('SET', 'maxmemory-policy', 'allkeys-lru');
    await stores.redis.config('SET', 'appendonly', 'no');
    expect(await store.check()).toEqual({
      fatal: ['Redis may evict jobs: set maxmemory-policy noeviction (it is allkeys-lru)'],
      volatile: ['Redis forgets accepted jobs when it restarts: set appendonly yes'],
    });
  },
);

it('names the server that does not answer', async () => {
  const redis = await createOwnRedis();
  const store = await createStores({ redisUrl: redis.url }).producer();
  await redis.stop();
  const where = redis.url.replace('redis://', '');
  const problems = await store.check();
  // What is tidied up at the end needs it.
  await redis.restart();
  expect(problems).toEqual({
    fatal: [expect.stringMatching(`^${where}: Redis does not answer \\(.+\\)$`)],
    volatile: [],
  });
});

it('refuses in one line to begin without a Redis', async () => {
  const stores = createStores({ redisUrl: 'redis://127.0.0.1:1' });
  await expect(stores.producer()).rejects.toThrow(
    /^Redis at 127.0.0.1:1 does not serve \(connect ECONNREFUSED 127.0.0.1:1\); start it or correct REDIS_URL$/,
  );
});
