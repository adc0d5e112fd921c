import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectRaw, postJson, startApiWorld } from '../harness/api.ts';
import type { ApiWorld } from '../harness/api.ts';
import { waitUntil } from '../harness/wait-until.ts';
import { measureIdleStreams } from '../soak/idle-streams.ts';
import { measurePausedSockets } from '../soak/paused-sockets.ts';

const HEARTBEAT_MS = 2_000;
const IDLE = 2_000;
/** What the process keeps for a stream, and a share of what V8 has not collected yet. */
const BYTES_PER_IDLE_STREAM_MAX = 40_000;
const PAUSED = 100;
/** What a reader may cost at most. */
const BYTES_PER_PAUSED_MAX = 262_144;
/** What filling the sockets leaves behind until V8 collects it. */
const GARBAGE_BYTES = 16_000_000;

let world: ApiWorld;

beforeAll(async () => {
  world = await startApiWorld({
    QARR_HEARTBEAT_MS: String(HEARTBEAT_MS),
    QARR_READER_STUCK_MS: '600000',
  });
});
afterAll(() => world.stop());

describe('one API process', () => {
  it('holds thousands of idle streams, each with its heartbeats, at a small cost', async () => {
    const { before, watched, alive } = await measureIdleStreams(world, {
      streams: IDLE,
      jobs: 'one',
      heartbeats: 2,
      heartbeatMs: HEARTBEAT_MS,
    });
    expect(alive).toBe(IDLE);
    const grown = watched.residentBytesMax - before.residentBytes;
    expect(grown).toBeLessThan(IDLE * BYTES_PER_IDLE_STREAM_MAX);
  });

  it('holds little for readers that are paused while their jobs stream', async () => {
    const { residentBytesBefore, watched, connected } = await measurePausedSockets(world, {
      sockets: PAUSED,
      jobs: 4,
      forMs: 6_000,
    });
    expect(connected).toBe(PAUSED);
    const grown = watched.residentBytesMax - residentBytesBefore;
    expect(grown).toBeLessThan(PAUSED * BYTES_PER_PAUSED_MAX + GARBAGE_BYTES);
  });
});

it('closes connections beyond the limit, says so in its log, and serves on', async () => {
  const api = await world.startApi({ QARR_CONNECTIONS_MAX: '10' });
  const raws = Array.from({ length: 20 }, () => connectRaw(api.port));
  await waitUntil('those beyond the limit are closed', () => {
    return raws.filter(({ socket }) => socket.destroyed).length === 10;
  });
  await waitUntil('it is logged', () =>
    api.logs.some(({ cause, msg }) => cause === 'EMFILE' && msg === 'connection closed unanswered'),
  );
  for (const { socket } of raws) socket.destroy();
  await waitUntil('it serves', async () => {
    const response = await postJson(`${api.url}/v1/jobs`, { prompt: 'Hello' }).catch(() => null);
    return response?.status === 202;
  });
});
