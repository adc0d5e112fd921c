/**
 * Looks for stop strings in a text that arrives piece by piece, as vLLM's detokenizer does: while
 * the text goes on, its last characters (one fewer than the longest stop string) are held back, so
 * that no part of a stop string is ever sent. With `includeStop` the stop string is part of the
 * answer and nothing is held back.
 */
export type StopScanner = {
  /** Takes a piece; returns what may be sent now and the stop string that ended the text, if any. */
  push(piece: string, options: { mayStop: boolean }): { text: string; stop?: string };
  /** What is still held back, when the text has ended otherwise. */
  flush(): string;
};

export function createStopScanner(options: {
  stops: readonly string[];
  includeStop: boolean;
}): StopScanner {
  const { stops, includeStop } = options;
  const tailCharsMax = Math.max(0, ...stops.map((stop) => stop.length - 1));
  /** The last characters of the text so far: where a stop string may have begun. */
  let tail = '';

  function push(piece: string, { mayStop }: { mayStop: boolean }) {
    const text = tail + piece;
    const found = mayStop ? firstStop(text) : undefined;
    if (found !== undefined) {
      const end = includeStop ? found.at + found.stop.length : found.at;
      const sent = includeStop ? tail.length : 0;
      tail = '';
      return { text: text.slice(sent, end), stop: found.stop };
    }
    const cut = cutBefore(text, text.length - tailCharsMax);
    const sendable = includeStop ? piece : text.slice(0, cut);
    tail = text.slice(cut);
    return { text: sendable };
  }

  /** The first in the caller's order, not in the text's. It must touch the new piece. */
  function firstStop(text: string): { stop: string; at: number } | undefined {
    for (const stop of stops) {
      const at = text.indexOf(stop, Math.max(0, tail.length - stop.length + 1));
      if (at !== -1) return { stop, at };
    }
    return undefined;
  }

  return {
    push,
    flush() {
      const rest = includeStop ? '' : tail;
      tail = '';
      return rest;
    },
  };
}

/** A place to cut at or before `at` that does not split a surrogate pair. */
function cutBefore(text: string, at: number): number {
  if (at <= 0) return 0;
  const code = text.charCodeAt(at);
  const splitsPair = code >= 0xdc00 && code <= 0xdfff;
  return splitsPair ? at - 1 : at;
}
