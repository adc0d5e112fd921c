import { afterAll, beforeAll, expect, it } from 'vitest';
import { connectRaw, openStream, postJson, startApiWorld } from '../harness/api.ts';
import type { ApiWorld, RawConnection, TestAttempt, TestWorker } from '../harness/api.ts';
import { waitUntil } from '../harness/wait-until.ts';

const STUCK_READERS = 40;
/** 9 MB of text: without a bound, the stuck readers would hold 360 MB of it. */
const TEXT = 'x'.repeat(3_000);
const TIMES = 3_000;
const MEMORY_GROWTH_BYTES_MAX = 150_000_000;

let world: ApiWorld;
let worker: TestWorker;

beforeAll(async () => {
  world = await startApiWorld({ QARR_HEARTBEAT_MS: '200', QARR_READER_STUCK_MS: '1000' });
  worker = await world.startWorker('fast');
});
afterAll(() => world.stop());

async function submit(): Promise<{ events: string; attempt: TestAttempt }> {
  const response = await postJson(`${world.api.url}/v1/jobs`, { prompt: 'Hello' });
  const { id, urls } = (await response.json()) as { id: string; urls: { events: string } };
  return { events: urls.events, attempt: await worker.next(id) };
}

async function gauge(name: string): Promise<number> {
  const metrics = await (await fetch(`${world.api.opsUrl}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(metrics)?.[1]);
}

/** Takes the first bytes and then nothing more. */
async function readAndGetStuck(events: string): Promise<RawConnection> {
  const { pathname } = new URL(events);
  const raw = connectRaw(world.api.port, `GET ${pathname} HTTP/1.1\r\nhost: localhost\r\n\r\n`);
  await raw.until('event: started');
  raw.socket.pause();
  return raw;
}

/** Ids of the events that arrived as a whole. */
function idsOf(text: string): number[] {
  const matches = text.matchAll(/^id: (\d+)\nevent: \w+\ndata: \{.*\}\n\n/gm);
  return [...matches].map(([, id]) => Number(id));
}

it('readers that are stuck cost no memory, disturb nobody, are disconnected, and can go on', async () => {
  const { events, attempt } = await submit();
  const stuck = await Promise.all(
    Array.from({ length: STUCK_READERS }, () => readAndGetStuck(events)),
  );
  const before = await gauge('process_resident_memory_bytes');

  const reader = await openStream(events);
  await attempt.pour(TEXT, TIMES);
  await attempt.complete();
  const whole = idsOf(await reader.end());
  expect(whole).toEqual(whole.map((_, index) => index + 1));
  expect(await gauge('process_resident_memory_bytes')).toBeLessThan(
    before + MEMORY_GROWTH_BYTES_MAX,
  );

  await waitUntil(
    'the stuck readers are disconnected',
    async () => (await gauge('qarr_sse_connections')) === 0,
  );
  const [one] = stuck;
  one?.socket.resume();
  // What lay in the sockets is still delivered; in chunks, whose lengths stand between the frames.
  const text = ((await one?.closed()) ?? '').replaceAll(/^[0-9a-f]+\r\n|\r\n/gm, '');
  const seen = idsOf(text);
  expect(seen).toEqual(whole.slice(0, seen.length));
  expect(seen.length).toBeLessThan(whole.length);
  const rest = await openStream(events, { headers: { 'last-event-id': String(seen.at(-1)) } });
  expect([...seen, ...idsOf(await rest.end())]).toEqual(whole);
  for (const { socket } of stuck) socket.destroy();
});
