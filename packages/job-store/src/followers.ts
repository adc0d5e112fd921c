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
import type { RedisClient } from './redis-client.ts';
import { subscribe } from './subscription.ts';
import type { ConnectionOptions } from './connections.ts';
import type { Keys } from './keys.ts';
import { LiveBuffer, parseLiveMessage } from './live-buffer.ts';
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
  stop(): Promise<void>;
}

interface Cursor {
  readonly jobId: string;
  readonly buffer: LiveBuffer;
  wake: () => void;
  readAtMs: number;
  /** The newest event that its reader has got here. */
  seen: LoggedEvent | null;
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
  const turns = createTurns(READS_MAX);
  const stopping = new AbortController();

  function everyCursor(visit: (cursor: Cursor) => void): void {
    for (const group of cursors.values()) for (const cursor of group) visit(cursor);
  }

  function sendToLog(cursor: Cursor): void {
    cursor.buffer.markBehind();
    cursor.wake();
  }

  const subscription = await subscribe({
    ...connection,
    channel,
    onReady: () =>
      everyCursor((cursor) => {
        cursor.isDoubtful = true;
        sendToLog(cursor);
      }),
    onMessage(message) {
      const { jobId, event } = parseLiveMessage(message);
      for (const cursor of cursors.get(jobId) ?? []) {
        cursor.buffer.push(event);
        cursor.wake();
      }
    },
  });

  const ticker = setInterval(
    () => {
      const dueMs = performance.now() - tickMs;
      everyCursor((cursor) => {
        if (cursor.readAtMs < dueMs) sendToLog(cursor);
      });
    },
    Math.min(tickMs, 1_000),
  );

  function join(jobId: string): Cursor {
    const cursor: Cursor = {
      jobId,
      buffer: new LiveBuffer(),
      wake: () => {},
      readAtMs: 0,
      seen: null,
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
    let reply: FollowReply;
    try {
      reply = (await runScript(redis, 'follow', {
        keys: [keys.job(cursor.jobId), keys.log(cursor.jobId)],
        args: [channel, from, PAGE_BYTES],
      })) as FollowReply;
    } catch {
      // Whatever it was: the reader stays, and the log is read again.
      cursor.buffer.markBehind();
      return null;
    }
    if (reply[0] === 'gone') throw new QarrError('job_not_found');
    if (reply[0] === 'ahead') return waitForLost(cursor, beyondTheEnd(last, reply[1]));
    const [, state, entries, more] = reply;
    if (more === 1) cursor.buffer.markBehind();
    const events = entries.map(([seq, type, json]) => ({ seq, type, json }));
    if (from === last) return { events, hasEnded: events.length === 0 && isTerminalType(state) };
    const [known, ...fresh] = events;
    if (known === undefined && !isTerminalType(state)) return waitForLost(cursor, lostEvents());
    if (known?.seq === last && known.json !== cursor.seen?.json) throw lostEvents();
    cursor.isDoubtful = false;
    cursor.aheadSinceMs = null;
    // What follows may be on the next page.
    if (fresh.length === 0) cursor.buffer.markBehind();
    return { events: known === undefined || known.seq > last ? events : fresh, hasEnded: false };
  }

  /**
   * The log lacks what its reader has got: a failover has lost it. Whoever wrote it writes it again,
   * under the same numbers, with the next event of the job; another attempt may write something else.
   */
  function waitForLost(cursor: Cursor, error: QarrError): null {
    const nowMs = performance.now();
    cursor.aheadSinceMs ??= nowMs;
    if (cursor.seen === null || nowMs - cursor.aheadSinceMs > LOST_MS_MAX) throw error;
    cursor.isDoubtful = true;
    cursor.buffer.markBehind();
    return null;
  }

  return {
    async *follow(jobId, { after, signal }) {
      const cursor = join(jobId);
      let last = after;
      let isOver = false;
      const onAbort = () => cursor.wake();
      signal.addEventListener('abort', onAbort);
      try {
        while (!signal.aborted && !stopping.signal.aborted && !isOver) {
          let events: LoggedEvent[];
          if (cursor.buffer.isBehind) {
            const page = await readLog(cursor, { last, signal });
            events = page?.events ?? [];
            isOver = page?.hasEnded ?? false;
          } else {
            events = cursor.buffer.take(last);
            if (events.length === 0 && !cursor.buffer.isBehind) await untilWoken(cursor, signal);
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
      await subscription.stop();
    },
  };
}

type FollowReply =
  | ['gone']
  | ['ahead', number]
  | ['ok', string, [seq: number, type: JobEventType, json: string][], more: 0 | 1];

interface Page {
  readonly events: LoggedEvent[];
  /** There is nothing more to come. */
  readonly hasEnded: boolean;
}

/** Waits until the cursor is woken, which an abort does too. */
async function untilWoken(cursor: Cursor, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  cursor.wake = resolve;
  await promise;
  cursor.wake = () => {};
}

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
