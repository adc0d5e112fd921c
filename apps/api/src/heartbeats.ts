/**
 * One clock for the heartbeats of all streams: thousands of timers would cost memory, and thousands
 * of beats in one moment would hold up all else.
 */

/** Each stream belongs to one of so many groups, which beat one after another. */
const GROUPS = 30;

export interface Heartbeats<Stream> {
  add(stream: Stream): void;
  remove(stream: Stream): void;
  stop(): void;
}

/** Calls `beat` for each stream once in `everyMs`, the first time within that. */
export function createHeartbeats<Stream>({
  everyMs,
  beat,
}: {
  everyMs: number;
  beat: (stream: Stream) => void;
}): Heartbeats<Stream> {
  const groups = Array.from({ length: GROUPS }, () => new Set<Stream>());
  let current = 0;
  let joining = 0;
  const clock = setInterval(() => {
    current = (current + 1) % GROUPS;
    for (const stream of groups[current] ?? []) beat(stream);
  }, everyMs / GROUPS);

  return {
    add(stream) {
      joining = (joining + 1) % GROUPS;
      groups[joining]?.add(stream);
    },
    remove(stream) {
      for (const group of groups) if (group.delete(stream)) return;
    },
    stop: () => clearInterval(clock),
  };
}
