/** Readers that take nothing while their jobs stream megabytes: what one API process holds for them. */
import { setTimeout as sleep } from 'node:timers/promises';
import { connectRaw, postJson } from '../harness/api.ts';
import type { ApiWorld, RawConnection, TestAttempt } from '../harness/api.ts';
import { figuresOf, watchProcess } from './process-figures.ts';

/** Characters of one event, which are two or three bytes each, as in most languages of the world. */
const EVENT_TEXT = 'é漢'.repeat(500);
/** Events between two pauses: more than the systems' socket buffers, some MB, within seconds. */
const EVENTS_AT_ONCE = 10;
const PAUSE_MS = 25;
export interface PausedSockets {
  readonly residentBytesBefore: number;
  readonly watched: Awaited<ReturnType<typeof watchProcess>>;
  /** Events that were written meanwhile, each of 2.5 KB. */
  readonly events: number;
  /** Readers that are still connected in the end. */
  readonly connected: number;
}

/** The API must wait longer than `forMs` before it disconnects a reader that is stuck. */
export async function measurePausedSockets(
  world: Pick<ApiWorld, 'api' | 'startWorker'>,
  { sockets, jobs, forMs }: { sockets: number; jobs: number; forMs: number },
): Promise<PausedSockets> {
  const { api } = world;
  const worker = await world.startWorker('fast');
  const attempts: TestAttempt[] = [];
  for (let job = 0; job < jobs; job += 1) {
    const response = await postJson(`${api.url}/v1/jobs`, { prompt: 'Hello' });
    attempts.push(await worker.next(((await response.json()) as { id: string }).id));
  }
  // The first use of everything is not what a reader costs.
  await Promise.all(attempts.map((attempt) => attempt.say(EVENT_TEXT)));
  const { residentBytes } = await figuresOf(api);
  const readers = await Promise.all(
    Array.from({ length: sockets }, (_, index) => pausedReader(api.port, attempts[index % jobs])),
  );
  const writing = new AbortController();
  const written = attempts.map((attempt) => write(attempt, writing.signal));
  const watched = await watchProcess(api, { forMs });
  writing.abort();
  const counts = await Promise.all(written);
  const { streams: connected } = await figuresOf(api);
  for (const { socket } of readers) socket.destroy();
  // The whole text as a result would be hundreds of megabytes.
  const result = { text: '', finish_reason: 'stop' } as const;
  await Promise.all(attempts.map((attempt) => attempt.completeWith(result)));
  const events = counts.reduce((sum, count) => sum + count, 0);
  return { residentBytesBefore: residentBytes, watched, events, connected };
}

/** Takes the first event and then nothing more. */
async function pausedReader(port: number, attempt?: TestAttempt): Promise<RawConnection> {
  const path = `/v1/jobs/${attempt?.job.jobId}/events`;
  const raw = connectRaw(port, `GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`);
  await raw.until('event: queued');
  raw.socket.pause();
  return raw;
}

async function write(attempt: TestAttempt, signal: AbortSignal): Promise<number> {
  let events = 0;
  while (!signal.aborted) {
    await attempt.pour(EVENT_TEXT, EVENTS_AT_ONCE);
    events += EVENTS_AT_ONCE;
    await sleep(PAUSE_MS);
  }
  return events;
}
