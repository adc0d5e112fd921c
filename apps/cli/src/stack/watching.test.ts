import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { chooseOpsPorts, targetsFor } from './watching.ts';

const HOST = '127.0.0.1';

test('ops ports follow on that of the API, but for those that are taken', async () => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen({ host: HOST, port: 0 }, resolve));
  const address = taken.address();
  const takenPort = typeof address === 'object' && address !== null ? address.port : 0;
  const ports = await chooseOpsPorts({
    host: HOST,
    opsPort: takenPort - 1,
    port: takenPort + 1,
    count: 3,
  });
  taken.close();
  expect(new Set(ports).size).toBe(3);
  expect(ports.every((port) => port > takenPort + 1)).toBe(true);
  expect(ports).toEqual(ports.toSorted((one, other) => one - other));
});

test('where the API takes any port, so do all', async () => {
  const ports = await chooseOpsPorts({ host: HOST, opsPort: 0, port: 8080, count: 2 });
  expect(ports).toEqual([0, 0]);
});

test('no port is above the last one', async () => {
  const ports = await chooseOpsPorts({ host: HOST, opsPort: 65_535, port: 8080, count: 2 });
  expect(ports).toEqual([0, 0]);
});

test('targets are those that have a known port, by what they are', () => {
  expect(
    targetsFor({
      host: '::1',
      api: 9_464,
      batchRunner: 0,
      workers: [9_466, 0],
      engines: [
        { tier: 'fast', urls: ['http://127.0.0.1:8000', 'https://far/engine'] },
        { tier: 'precise', urls: ['https://far'] },
      ],
    }),
  ).toEqual([
    { labels: { job: 'qarr-api' }, targets: ['[::1]:9464'] },
    { labels: { job: 'qarr-worker' }, targets: ['[::1]:9466'] },
    { labels: { job: 'qarr-engine', tier: 'fast' }, targets: ['127.0.0.1:8000'] },
  ]);
});
