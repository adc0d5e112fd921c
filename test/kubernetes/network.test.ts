import { describe, expect, it } from 'vitest';
import { isAllowed } from './network.ts';
import type { End } from './network.ts';
import { OVERLAYS, rendered, workload } from './objects.ts';

const INTERNET: End = { address: '203.0.113.7' };
const PROMETHEUS: End = { namespace: 'monitoring' };
const CLIENTS: End = { namespace: 'ingress-nginx' };

describe.each(OVERLAYS)('the network policies of the overlay %s', (overlay) => {
  const objects = rendered(overlay);
  const pod = (name: string): End => workload(objects, name);
  const redis: End = overlay === 'simulated' ? pod('redis') : { address: '10.9.8.7' };
  const ours = ['api', 'batch-runner', 'worker-fast', 'worker-precise'];

  it.each<[string, End, End, number]>([
    ['clients to the API', CLIENTS, pod('api'), 8080],
    ...ours.map((name): [string, End, End, number] => [`${name} to Redis`, pod(name), redis, 6379]),
    ...ours.map((name): [string, End, End, number] => [
      `Prometheus to ${name}`,
      PROMETHEUS,
      pod(name),
      9464,
    ]),
    ['Prometheus to an engine', PROMETHEUS, pod('worker-fast'), 8000],
    ['the API to an engine, for counts', pod('api'), pod('worker-precise'), 8000],
    ['the batch runner to an engine', pod('batch-runner'), pod('worker-fast'), 8000],
    ['webhooks to the internet', pod('api'), INTERNET, 443],
    ['traces to a collector', pod('worker-fast'), PROMETHEUS, 4318],
  ])('let %s', (_, from, to, port) => {
    expect(isAllowed(objects, { from, to, port })).toBe(true);
  });

  it.each(['TCP', 'UDP'] as const)('let all ask for names by %s', (protocol) => {
    for (const name of ours) {
      const dns = { from: pod(name), to: { namespace: 'kube-system' }, port: 53, protocol };
      expect(isAllowed(objects, dns)).toBe(true);
    }
  });

  it.each<[string, End, End, number]>([
    ['clients to an ops port', CLIENTS, pod('api'), 9464],
    ['clients to an engine', CLIENTS, pod('worker-fast'), 8000],
    ['another namespace to the API', { namespace: 'default' }, pod('api'), 8080],
    ['another namespace to an ops port', { namespace: 'default' }, pod('worker-fast'), 9464],
    ['Prometheus to the port for users', PROMETHEUS, pod('api'), 8080],
    ['a worker to the API', pod('worker-fast'), pod('api'), 8080],
    ['a worker to the engine of another', pod('worker-fast'), pod('worker-precise'), 8000],
    ['webhooks to private addresses', pod('api'), { address: '10.0.0.1' }, 443],
    ['webhooks to metadata of the cloud', pod('api'), { address: '169.254.169.254' }, 443],
    ['the API to other ports of the internet', pod('api'), INTERNET, 25],
    ['anybody outside to Redis', { namespace: 'monitoring' }, pod('batch-runner'), 6379],
  ])('do not let %s', (_, from, to, port) => {
    expect(isAllowed(objects, { from, to, port })).toBe(false);
  });

  it('let only pods with a GPU fetch models, and only what keeps files reach a bucket', () => {
    expect(
      ['worker-fast', 'batch-runner'].map((name) =>
        isAllowed(objects, { from: pod(name), to: INTERNET, port: 443 }),
      ),
    ).toEqual(overlay === 'gpu' ? [true, true] : [false, false]);
  });
});

it('let nobody but our processes reach a Redis in the cluster, and it nobody', () => {
  const objects = rendered('simulated');
  const redis = workload(objects, 'redis');
  for (const from of [PROMETHEUS, CLIENTS, { namespace: 'keda' }]) {
    expect(isAllowed(objects, { from, to: redis, port: 6379 })).toBe(false);
  }
  expect(isAllowed(objects, { from: redis, to: INTERNET, port: 443 })).toBe(false);
});
