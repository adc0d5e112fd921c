import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { probesIn } from '../figures/probes.ts';
import { startEngineWatch } from './engine-watch.ts';

test('passes requests on, and holds those that come while the engine is gone', async () => {
  const engine = createServer((request, response) => {
    response.setHeader('x-engine', 'yes');
    request.pipe(response);
  }).listen(0, '127.0.0.1');
  await once(engine, 'listening');
  const watch = await startEngineWatch({ targetPort: (engine.address() as AddressInfo).port });
  onTestFinished(async () => {
    await watch.stop();
    engine.close();
  });

  const answer = await fetch(`${watch.url}/v1/models?x=1`, { method: 'POST', body: 'hello' });
  expect([answer.headers.get('x-engine'), await answer.text()]).toEqual(['yes', 'hello']);
  watch.setGone(true);
  const probes = await Promise.allSettled([1, 2].map(() => fetch(`${watch.url}/v1/models`)));
  expect(probes.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  watch.setGone(false);
  expect((await fetch(`${watch.url}/v1/models`)).status).toBe(200);

  expect(watch.seen.map(({ path }) => path)).toEqual([
    '/v1/models?x=1',
    '/v1/models',
    '/v1/models',
    '/v1/models',
  ]);
  expect(probesIn(watch.seen.slice(1), { fromMs: 0, toMs: Infinity })).toEqual({
    probes: 3,
    atOnceMax: 2,
  });
});
