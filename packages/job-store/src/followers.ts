/**
 * Following: any replica turns a job's log and live messages into one gap-free sequence.
 *
 * A reader is a cursor on the log. It reads the log after the last event it has seen, in the same
 * step noting this replica as follower, and from then on takes live messages as long as they are
 * the next in order. Whatever may have made it miss one (a gap, a lost subscription, a reader that
 * was too slow, the passing of time) sends it back to the log. So live messages are only the fast
 * path: with all of them lost a reader still gets every event once, only later.
 *
 * One subscription serves all readers of the process.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { QarrError, isTerminalType } from '@qarr/router-core';
import type { JobEventType, LoggedEvent } from '@qarr/router-core';
import { isCluster } from './redis-client.ts';
import type { RedisClient } from './redis-client.ts';
import { subscribe } from './subscription.ts';
import type { ConnectionOptions } from './connections.ts';
import type { Keys } from './keys.ts';
import { LiveBuffer } from './live-buffer.ts';
import { parseLiveMessage } from './live-message.ts';
import { runScript } from './scripts.ts';
import { createTurns } from './turns.ts';

/**
 * Bytes of events per reading of the log; the last of them may go beyond by one event. A page is what
 * waits for each reader that is stuck.
 */
const PAGE_BYTES = 8_192;
/**
 * Readings under way at once. They share a connection with those who submit: thousands of readers
 * that read at once would make each other, and them, miss their time.
 */
const READS_MAX = 32;
/** Pause before the log is read again after Redis did not answer. */
const RETRY_MS = 200;

/** Whoever has made a job follows it at once, or will not. */
const EXPECTED_MS_MAX = 5_000;

/** How long the log may lack what a reader has got. An engine may be silent for some seconds. */
const LOST_MS_MAX = 20_000;

export interface FollowOptions {
  /** The last event that the reader has; 0 for none. */
  after: number;
  signal: AbortSignal;
}

export interface Followers {
  /**
   * Yields events in order, each once, as they come; ends after the terminal one or on abort.
   * Throws `job_not_found`, or `invalid_cursor` when there is no event with number `after` yet.
   */
  follow(jobId: string, options: FollowOptions): AsyncGenerator<LoggedEvent[], void, void>;
  /**
   * Takes live events of a job that is about to be written, from its creation on. Whoever follows it
   * from its beginning soon after goes on with them, and need not read the log.
   */
  expect(jobId: string): Expected;
  stop(): Promise<void>;
}

/** A job that is about to be written with this replica as its follower. */
interface Expected {
  /** To be its follower in its record. */
  readonly channel: string;
  /** It is there, and its log begins with these. */
  written(events: LoggedEvent[]): void;
  /** To be called in the end: one that was not written is forgotten. */
  settle(): void;
}

/** Nothing is ever added to it. */
const NONE: LoggedEvent[] = [];

interface Cursor {
  readonly jobId: string;
  readonly buffer: LiveBuffer;
  /** What the log begins with, known without reading it. */
  known: LoggedEvent[];
  wake: () => void;
  readAtMs: number;
  /** The newest event that its reader has got here. */
  seen: LoggedEvent | null;
  /** The last live event that came, taken or not; 0 before. */
  liveSeq: number;
  /** Redis may have forgotten what it has seen: another one may have taken its place. */
  isDoubtful: boolean;
  /** Since when the log lacks what it has seen. */
  aheadSinceMs: number | null;
}

export async function createFollowers({
  redis,
  keys,
  replicaId,
  tickMs,
  ...connection
}: ConnectionOptions & {
  redis: RedisClient;
  keys: Keys;
  replicaId: string;
  /** A reader that has read nothing for this long looks at the log. */
  tickMs: number;
}): Promise<Followers> {
  const channel = keys.replicaChannel(replicaId);
  const cursors = new Map<string, Set<Cursor>>();
  /** Of jobs that were written here, until somebody follows them. */
  const expected = new Map<string, Cursor>();
  const turns = createTurns(READS_MAX);
  const stopping = new AbortController();

  function everyCursor(visit: (cursor: Cursor) => void): void {
    for (const group of cursors.values()) for (const cursor of group) visit(cursor);
  }

  function sendToLog(cursor: Cursor): void {
    cursor.buffer.markBehind();
    cursor.wake();
  }

  function doubt(cursor: Cursor): void {
    cursor.isDoubtful = true;
    sendToLog(cursor);
  }

  const doubtAll = () => everyCursor(doubt);

  const subscription = await subscribe({
    ...connection,
    channel,
    onReady: doubtAll,
    onMessage(message) {
      for (const { jobId, event } of parseLiveMessage(message)) {
        for (const cursor of cursors.get(jobId) ?? []) {
          // They count up, but where a log was cut. In a cluster the subscription, at another node, stands.
          if (event.seq <= cursor.liveSeq) doubt(cursor);
          else {
            cursor.buffer.push(event);
            cursor.wake();
          }
          cursor.liveSeq = event.seq;
        }
      }
    },
  });
  // A master that is lost may have taken the end of a log with it.
  if (isCluster(redis)) redis.on('-node', doubtAll);

  const ticker = setInterval(
    () => {
      const dueMs = performance.now() - tickMs;
      everyCursor((cursor) => {
        if (cursor.readAtMs < dueMs) doubt(cursor);
      });
      const forgetMs = performance.now() - Math.min(tickMs, EXPECTED_MS_MAX);
      for (const [jobId, cursor] of expected) {
        if (cursor.readAtMs > forgetMs) break;
        expected.delete(jobId);
        leave(cursor, { isOver: false });
      }
    },
    Math.min(tickMs, 1_000),
  );

  function join(jobId: string): Cursor {
    const cursor: Cursor = {
      jobId,
      buffer: new LiveBuffer(),
      known: NONE,
      wake: awake,
      readAtMs: performance.now(),
      seen: null,
      liveSeq: 0,
      isDoubtful: false,
      aheadSinceMs: null,
    };
    const group = cursors.get(jobId) ?? new Set();
    cursors.set(jobId, group.add(cursor));
    return cursor;
  }

  function leave(cursor: Cursor, { isOver }: { isOver: boolean }): void {
    const group = cursors.get(cursor.jobId);
    group?.delete(cursor);
    if (group === undefined || group.size > 0) return;
    cursors.delete(cursor.jobId);
    if (isOver) return;
    // Where this fails, the job's messages come here for nothing until it ends: harmless.
    runScript(redis, 'unfollow', { keys: [keys.job(cursor.jobId)], args: [channel] })
      .catch(() => {})
      // It may have overtaken a reader who has come since.
      .finally(() => {
        for (const other of cursors.get(cursor.jobId) ?? []) sendToLog(other);
      });
  }

  /** Reads the log after `last`. Null when Redis did not answer, or the reader has left. */
  async function readLog(
    cursor: Cursor,
    { last, signal }: { last: number; signal: AbortSignal },
  ): Promise<Page | null> {
    const endTurn = await turns.take(signal);
    if (endTurn === null) return null;
    try {
      const page = await readPage(cursor, last);
      // Within the turn: while Redis is gone, a few try for all.
      if (page === null) await pause(RETRY_MS, signal);
      return page;
    } finally {
      endTurn();
    }
  }

  async function readPage(cursor: Cursor, last: number): Promise<Page | null> {
    cursor.buffer.catchingUp();
    cursor.readAtMs = performance.now();
    // With the event that it has seen last, to see whether the log still has it.
    const from = cursor.isDoubtful && cursor.seen !== null ? cursor.seen.seq - 1 : last;
    // What is doubted from here on, this reading does not tell.
    cursor.isDoubtful = false;
    let reply: FollowReply;
    try {
      reply = (await runScript(redis, 'follow', {
        keys: [keys.job(cursor.jobId), keys.log(cursor.jobId)],
        args: [channel, from, PAGE_BYTES],
      })) as FollowReply;
    } catch {
      // Whatever it was: the reader stays, and the log is read again.
      cursor.buffer.markBehind();
      cursor.isDoubtful = true;
      return null;
    }
    // It may tell of a log that was cut meanwhile.
    if (cursor.isDoubtful && from === last) return null;
    if (reply[0] === 'gone') throw new QarrError('job_not_found');
    if (reply[0] === 'ahead') {
      if (cursor.seen === null) throw beyondTheEnd(last, reply[1]);
      return waitForLost(cursor, reply[2]);
    }
    const [, state, entries, more] = reply;
    if (more === 1) cursor.buffer.markBehind();
    const events = entries.map(([seq, type, json]) => ({ seq, type, json }));
    if (from === last) return { events, hasEnded: events.length === 0 && isTerminalType(state) };
    const [known, ...fresh] = events;
    if (known === undefined) return waitForLost(cursor, state);
    if (known.seq === last && known.json !== cursor.seen?.json) throw lostEvents();
    cursor.aheadSinceMs = null;
    const unread = known.seq > last ? events : fresh;
    const isAll = unread.length === 0 && more === 0;
    return { events: unread, hasEnded: isAll && isTerminalType(state) };
  }

  /**
   * The log lacks what its reader has got: a failover has lost it. Whoever wrote it writes it again,
   * under the same numbers, with the next event of the job; another attempt may write something else.
   * Where the job has ended, nobody writes.
   */
  function waitForLost(cursor: Cursor, state: string): null {
    const nowMs = performance.now();
    cursor.aheadSinceMs ??= nowMs;
    const isTooLate = nowMs - cursor.aheadSinceMs > LOST_MS_MAX;
    if (isTooLate || isTerminalType(state)) throw lostEvents();
    cursor.isDoubtful = true;
    cursor.buffer.markBehind();
    return null;
  }

  /** With what has come since it was written, where it is read from its beginning. */
  function joinExpected(jobId: string, after: number): Cursor | null {
    const cursor = expected.get(jobId);
    if (after !== 0 || cursor === undefined) return null;
    expected.delete(jobId);
    return cursor;
  }

  return {
    expect(jobId) {
      const cursor = join(jobId);
      cursor.buffer.catchingUp();
      let isWritten = false;
      return {
        channel,
        written(events) {
          isWritten = true;
          cursor.known = events;
          cursor.readAtMs = performance.now();
          expected.set(jobId, cursor);
        },
        settle() {
          if (!isWritten) leave(cursor, { isOver: true });
        },
      };
    },

    async *follow(jobId, { after, signal }) {
      const cursor = joinExpected(jobId, after) ?? join(jobId);
      let last = after;
      let isOver = false;
      const onAbort = () => cursor.wake();
      signal.addEventListener('abort', onAbort);
      try {
        while (!signal.aborted && !stopping.signal.aborted && !isOver) {
          let events: LoggedEvent[];
          if (cursor.known.length > 0) {
            events = cursor.known;
            cursor.known = NONE;
          } else if (cursor.buffer.isBehind) {
            const page = await readLog(cursor, { last, signal });
            events = page?.events ?? [];
            isOver = page?.hasEnded ?? false;
          } else {
            events = cursor.buffer.take(last);
            if (events.length === 0 && !cursor.buffer.isBehind) {
              // An abort wakes it, too.
              await new Promise<void>((resolve) => (cursor.wake = resolve));
              cursor.wake = awake;
            }
          }
          const newest = events.at(-1);
          if (newest === undefined) continue;
          last = newest.seq;
          cursor.seen = newest;
          cursor.readAtMs = performance.now();
          isOver = isTerminalType(newest.type);
          yield events;
        }
      } finally {
        signal.removeEventListener('abort', onAbort);
        leave(cursor, { isOver });
      }
    },

    async stop() {
      stopping.abort();
      everyCursor((cursor) => cursor.wake());
      clearInterval(ticker);
      redis.off('-node', doubtAll);
      await subscription.stop();
    },
  };
}

type FollowReply =
  | ['gone']
  | ['ahead', seq: number, state: string]
  | ['ok', string, [seq: number, type: JobEventType, json: string][], more: 0 | 1];

interface Page {
  readonly events: LoggedEvent[];
  /** There is nothing more to come. */
  readonly hasEnded: boolean;
}

/** Nothing is to be woken. */
function awake(): void {}

/** Waits for so long, or until the reader leaves; live messages do not shorten it. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, null, { signal }).catch(() => {});
}

function lostEvents(): QarrError {
  return new QarrError('queue_unavailable', {
    message:
      'The queue has lost events that were sent, and others have their numbers. Read the job anew.',
  });
}

function beyondTheEnd(last: number, seq: number): QarrError {
  return new QarrError('invalid_cursor', {
    message: `No event has the number ${last}: the newest is ${seq}.`,
  });
}
