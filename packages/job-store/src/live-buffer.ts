/**
 * What one reader has been sent live and has not taken yet. It is bounded: a reader that does not
 * keep up loses the buffer and reads the log instead, from where it stands.
 */
import type { LoggedEvent } from '@qarr/router-core';

/**
 * Characters of JSON, of two bytes each where they are not Latin. With a page of the log, as events
 * and as bytes on their way, and with the socket's buffer, a reader stays well below 256 KB.
 */
const BUFFERED_CHARS_MAX = 32_768;
/** Most buffers are empty for nearly all of their time; nothing is ever added to this one. */
const NONE: LoggedEvent[] = [];

/** A class because there is one for each of many thousand readers: it costs a fifth of closures. */
export class LiveBuffer {
  #events: LoggedEvent[] = NONE;
  #chars = 0;
  #isBehind = true;

  /** True when the log has to be read. Reading it begins with `catchingUp`. */
  get isBehind(): boolean {
    return this.#isBehind;
  }

  markBehind(): void {
    this.#isBehind = true;
    this.#clear();
  }

  catchingUp(): void {
    this.#isBehind = false;
  }

  /** Adds a live event; what is not next in order marks the buffer as behind the log. */
  push(event: LoggedEvent): void {
    if (this.#isBehind) return;
    const newest = this.#events.at(-1);
    const inOrder = newest === undefined || event.seq === newest.seq + 1;
    if (newest !== undefined && event.seq <= newest.seq) return;
    if (!inOrder || this.#chars + event.json.length > BUFFERED_CHARS_MAX) {
      this.markBehind();
      return;
    }
    if (this.#events === NONE) this.#events = [];
    this.#events.push(event);
    this.#chars += event.json.length;
  }

  /** Takes all that follows event `last`, without a gap. */
  take(last: number): LoggedEvent[] {
    const fresh = this.#events.filter((event) => event.seq > last);
    const [first] = fresh;
    this.#clear();
    if (first !== undefined && first.seq !== last + 1) {
      this.#isBehind = true;
      return [];
    }
    return fresh;
  }

  #clear(): void {
    this.#events = NONE;
    this.#chars = 0;
  }
}
