/**
 * What one reader has been sent live and has not taken yet. It is bounded: a reader that does not
 * keep up loses the buffer and reads the log instead, from where it stands.
 */
import type { JobEventType, LoggedEvent } from '@qarr/router-core';

/** Characters of JSON. With a page of the log and the socket's buffer this stays below 256 KB. */
const BUFFERED_CHARS_MAX = 65_536;

export interface LiveBuffer {
  /** Adds a live event; what is not next in order marks the buffer as behind the log. */
  push(event: LoggedEvent): void;
  /** Takes all that follows event `last`, without a gap. */
  take(last: number): LoggedEvent[];
  /** True when the log has to be read. Reading it begins with `catchingUp`. */
  readonly isBehind: boolean;
  markBehind(): void;
  catchingUp(): void;
}

export function createLiveBuffer(): LiveBuffer {
  let events: LoggedEvent[] = [];
  let chars = 0;
  let behind = true;

  function clear(): void {
    events = [];
    chars = 0;
  }

  return {
    get isBehind() {
      return behind;
    },
    markBehind() {
      behind = true;
      clear();
    },
    catchingUp() {
      behind = false;
    },
    push(event) {
      if (behind) return;
      const newest = events.at(-1);
      const inOrder = newest === undefined || event.seq === newest.seq + 1;
      if (newest !== undefined && event.seq <= newest.seq) return;
      if (!inOrder || chars + event.json.length > BUFFERED_CHARS_MAX) {
        behind = true;
        clear();
        return;
      }
      events.push(event);
      chars += event.json.length;
    },
    take(last) {
      const fresh = events.filter((event) => event.seq > last);
      const [first] = fresh;
      clear();
      if (first !== undefined && first.seq !== last + 1) {
        behind = true;
        return [];
      }
      return fresh;
    },
  };
}

/** Reads a live message: `<job id> <seq> <type> <json>`. */
export function parseLiveMessage(message: string): { jobId: string; event: LoggedEvent } {
  const first = message.indexOf(' ');
  const second = message.indexOf(' ', first + 1);
  const third = message.indexOf(' ', second + 1);
  return {
    jobId: message.slice(0, first),
    event: {
      seq: Number(message.slice(first + 1, second)),
      type: message.slice(second + 1, third) as JobEventType,
      json: message.slice(third + 1),
    },
  };
}
