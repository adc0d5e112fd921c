/** Very many readers of jobs in which nothing happens: what one API process pays for them. */
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import type { ApiWorld } from '../harness/api.ts';
import { postJson } from '../harness/api.ts';
import { waitUntil } from '../harness/wait-until.ts';
import { figuresOf, watchProcess } from './process-figures.ts';

/** Requests under way at once: more would wait for each other and run into time limits. */
const OPENING_MAX = 50;
/** No worker takes the jobs, and none may expire while they are looked at. */
const QUEUE_TIMEOUT_MS = 86_400_000;

export interface IdleStreams {
  readonly before: { residentBytes: number };
  readonly opened: { residentBytes: number };
  readonly watched: Awaited<ReturnType<typeof watchProcess>>;
  /** Streams that have had the first event and as many heartbeats as asked for. */
  readonly alive: number;
}

/** Opens the streams, lets their heartbeats come, and closes them. */
export async function measureIdleStreams(
  { api }: { api: Pick<ApiWorld['api'], 'url' | 'opsUrl' | 'port'> },
  {
    streams,
    jobs,
    heartbeats,
    heartbeatMs,
  }: {
    streams: number;
    /** All read one job, or each reads one of its own. */
    jobs: 'one' | 'each';
    heartbeats: number;
    heartbeatMs: number;
  },
): Promise<IdleStreams> {
  // The first use of everything is not what a stream costs.
  const warmUp = await openAll(api.port, [await submit(api.url)]);
  for (const reader of warmUp) reader.socket.destroy();
  const ids = await several(jobs === 'one' ? 1 : streams, () => submit(api.url));
  const before = await figuresOf(api);
  const readers = await openAll(
    api.port,
    Array.from({ length: streams }, (_, index) => ids[index % ids.length] ?? ''),
  );
  const opened = await figuresOf(api);
  const watched = await watchProcess(api, { forMs: heartbeats * heartbeatMs });
  const alive = () =>
    readers.filter(({ socket, beats }) => !socket.destroyed && beats > heartbeats).length;
  // The last beat of the last stream may be a moment late.
  await waitUntil('all streams beat', () => alive() === streams).catch(() => {});
  const count = alive();
  for (const { socket } of readers) socket.destroy();
  await waitUntil('all streams are closed', async () => (await figuresOf(api)).streams === 0, {
    timeoutMs: 60_000,
  });
  return { before, opened, watched, alive: count };
}

interface IdleReader {
  readonly socket: Socket;
  beats: number;
}

async function openAll(port: number, ids: readonly string[]): Promise<IdleReader[]> {
  let index = 0;
  return several(ids.length, () => open(port, ids[index++] ?? ''));
}

/** Resolves when the first event has come. */
async function open(port: number, id: string): Promise<IdleReader> {
  const socket = connect(port, '127.0.0.1');
  const reader = { socket, beats: 0 };
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.on('data', (bytes) => {
    const text = bytes.toString('latin1');
    if (text.includes(': hb\n')) reader.beats += 1;
    if (text.includes('event: queued')) resolve();
  });
  socket.once('error', reject);
  socket.once('close', () => reject(new Error('The server closed the stream')));
  socket.write(`GET /v1/jobs/${id}/events HTTP/1.1\r\nhost: localhost\r\n\r\n`);
  await promise;
  return reader;
}

async function submit(url: string): Promise<string> {
  const body = { prompt: 'Hello', queue_timeout_ms: QUEUE_TIMEOUT_MS };
  const response = await postJson(`${url}/v1/jobs`, body);
  const { id } = (await response.json()) as { id: string };
  if (response.status !== 202) throw new Error(`A job was answered with ${response.status}`);
  return id;
}

/** Does it so often, a bounded number at once. */
async function several<T>(times: number, make: () => Promise<T>): Promise<T[]> {
  const made: T[] = [];
  let left = times;
  const lanes = Array.from({ length: Math.min(OPENING_MAX, times) }, async () => {
    while (left > 0) {
      left -= 1;
      made.push(await make());
    }
  });
  await Promise.all(lanes);
  return made;
}
