/** Jobs that are bound to a replica end with it, and with nothing else. */
import type { ProducerStore } from '@qarr/job-store';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it, onTestFinished } from 'vitest';
import { createOwnRedis } from '../harness/own-redis.ts';
import { ANYWHERE, createStores, newJob } from '../harness/store.ts';
import { startTcpProxy } from '../harness/tcp-proxy.ts';
import { waitUntil } from '../harness/wait-until.ts';

const LOST_MS = 1_500;

async function submitBound(store: ProducerStore): Promise<string> {
  const job = newJob({ isBound: true });
  await store.submit(job, ANYWHERE);
  return job.id;
}

/** Sweeps until this is so. */
function sweepUntil(store: ProducerStore, name: string, isSo: () => Promise<boolean>) {
  return waitUntil(name, async () => {
    await store.sweep().catch(() => {});
    return isSo();
  });
}

async function stateOf(store: ProducerStore, id: string) {
  return (await store.get(id))?.state;
}

it('cancels what a replica left that could not cancel it, and only that', async () => {
  const stores = createStores();
  const { redis, root } = stores;
  const [left, store, third] = await Promise.all([
    stores.producer({ replicaLostMs: LOST_MS, replicaId: 'left' }),
    stores.producer({ replicaLostMs: LOST_MS, replicaId: 'here' }),
    stores.producer({ replicaLostMs: LOST_MS, replicaId: 'third' }),
  ]);
  const bound = await Promise.all([submitBound(left), submitBound(left)]);
  const free = newJob();
  await left.submit(free, ANYWHERE);
  const here = await submitBound(store);
  await left.stop();
  const sweeping = [store, third].map((each) =>
    sweepUntil(each, 'nothing is left of it', async () => {
      const replicas = await redis.zrange(`${root}:replicas`, '0', '-1');
      return replicas.toSorted().join() === 'here,third';
    }),
  );
  await Promise.all(sweeping);
  for (const id of bound) expect(await stateOf(store, id)).toBe('cancelled');
  expect(await stateOf(store, free.id)).toBe('queued');
  expect(await stateOf(store, here)).toBe('queued');
  expect(await redis.exists(`${root}:bound:left`)).toBe(0);
  // Whatever ends a job ends what bound it.
  expect(await redis.smembers(`${root}:bound:here`)).toEqual([here]);
  await store.cancel(here);
  expect(await redis.exists(`${root}:bound:here`)).toBe(0);
  await Promise.all([store.stop(), third.stop()]);
  expect(await redis.exists(`${root}:replicas`)).toBe(0);
});

it('judges nobody whom Redis could not hear', async () => {
  const redis = await createOwnRedis();
  const proxy = await startTcpProxy({ targetPort: Number(new URL(redis.url).port) });
  onTestFinished(() => proxy.stop());
  const stores = createStores({ redisUrl: redis.url });
  const redisUrl = `redis://127.0.0.1:${proxy.port}`;
  const one = await stores.producer({ replicaLostMs: LOST_MS, redisUrl });
  const other = await stores.producer({ replicaLostMs: LOST_MS });
  const id = await submitBound(one);
  await waitUntil(
    'both are known',
    async () => (await stores.redis.zcard(`${stores.root}:replicas`)) === 2,
  );
  redis.freeze();
  await sleep(2 * LOST_MS);
  // It comes back a little later than the one that sweeps.
  await proxy.apply({ kind: 'refuse' });
  redis.thaw();
  await sweepFor(other, LOST_MS / 4);
  await proxy.heal();
  await sweepFor(other, 2 * LOST_MS);
  expect(await stateOf(other, id)).toBe('queued');
});

async function sweepFor(store: ProducerStore, ms: number): Promise<void> {
  const untilMs = performance.now() + ms;
  while (performance.now() < untilMs) {
    await store.sweep().catch(() => {});
    await sleep(10);
  }
}

it('binds nothing that was never written', async () => {
  const stores = createStores();
  const { redis, root } = stores;
  // Each write of it is too late.
  const store = await stores.producer({ replicaId: 'here', createWithinMs: -1 });
  const job = newJob({ isBound: true });
  await expect(store.submit(job, ANYWHERE)).rejects.toMatchObject({ code: 'queue_unavailable' });
  expect(await redis.exists(`${root}:bound:here`)).toBe(0);
  // On a cluster it is bound before it would be written.
  await redis.sadd(`${root}:bound:here`, job.id);
  expect(await store.cancel(job.id)).toBeNull();
  expect(await redis.exists(`${root}:bound:here`)).toBe(0);
});
