/**
 * The events that an attempt has written of late, for a Redis that has forgotten them: one that was
 * killed, or the replica that took its place, may lack the newest. Whoever wrote them writes them again,
 * under the same numbers.
 */
import { EVENT_ARGS } from './delta-buffer.ts';

/** More than an engine makes in some seconds; replicas, and the disk, are behind by less. */
const CHARS_MAX = 65_536;

export interface Tail {
  /** Notes what was written from this number on. */
  add(first: number, events: readonly string[]): void;
  /** All from this number on, as the scripts take it; null where it does not reach back so far. */
  from(first: number): string[] | null;
}

export function createTail(): Tail {
  let calls: { first: number; events: readonly string[]; chars: number }[] = [];
  let chars = 0;

  return {
    add(first, events) {
      const size = events.reduce((sum, text) => sum + text.length, 0);
      calls.push({ first, events, chars: size });
      chars += size;
      // The newest stays, however long it is.
      while (chars > CHARS_MAX && calls.length > 1) chars -= calls.shift()?.chars ?? 0;
    },
    from(first) {
      const at = calls.findIndex((call) => call.first + call.events.length / EVENT_ARGS > first);
      const call = calls[at];
      if (call === undefined || call.first > first) return null;
      const rest = calls.slice(at).flatMap(({ events }) => events);
      return rest.slice((first - call.first) * EVENT_ARGS);
    },
  };
}
