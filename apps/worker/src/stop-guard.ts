/**
 * Finds stop strings that begin in the text of one engine and end in that of the next.
 *
 * An engine that is asked to carry an answer on looks for stop strings in its own text only. What
 * the former engine held back because it might begin one is watched here until it is passed.
 */
export interface StopGuard {
  /** Takes the next text; returns what may be let out, and whether a stop string was found. */
  push(text: string): { text: string; isStopped: boolean };
  /**
   * The answer has ended, by this stop string or by none: what is still held back is a part of it.
   * With it, one may be complete that began in what is held back, where the engine saw nothing.
   */
  flush(stopString: string | undefined): string;
}

/** @param options.heldBack text that the former engine had made and not let out */
export function createStopGuard({
  heldBack,
  stops,
}: {
  heldBack: string;
  stops: readonly string[];
}): StopGuard {
  let buffer = heldBack;
  /** How much of the buffer is the former engine's. */
  let watched = heldBack.length;

  return {
    push(text) {
      buffer += text;
      const stopAt = firstStop();
      if (stopAt !== null) return { text: take(stopAt), isStopped: true };
      const openAt = firstIndex((at) => stops.some((stop) => stop.startsWith(buffer.slice(at))));
      return { text: take(openAt ?? buffer.length), isStopped: false };
    },
    flush(stopString = '') {
      const end = buffer.length;
      buffer += stopString;
      return take(firstStop() ?? end);
    },
  };

  /** Where the stop string begins that is complete first. */
  function firstStop(): number | null {
    let first: { at: number; end: number } | null = null;
    for (const stop of stops) {
      const at = buffer.indexOf(stop);
      const end = at + stop.length;
      if (at >= 0 && at < watched && (first === null || end < first.end)) first = { at, end };
    }
    return first?.at ?? null;
  }

  /** The first watched place of which the condition holds. */
  function firstIndex(condition: (at: number) => boolean): number | null {
    for (let at = 0; at < watched; at += 1) if (condition(at)) return at;
    return null;
  }

  function take(length: number): string {
    const taken = buffer.slice(0, length);
    buffer = buffer.slice(length);
    watched = Math.max(0, watched - length);
    return taken;
  }
}
