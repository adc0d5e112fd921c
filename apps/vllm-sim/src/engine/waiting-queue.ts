/** The sequences that wait, in their order. */
export type WaitingQueue<S> = {
  add(sequence: S): void;
  first(): S | undefined;
  removeFirst(): void;
  removeWhere(test: (sequence: S) => boolean): void;
  all(): readonly S[];
};

/** @param goesBefore a strict order; among equals the one that was added first goes first */
export function createWaitingQueue<S>(goesBefore: (one: S, other: S) => boolean): WaitingQueue<S> {
  let sequences: S[] = [];

  /** Where a new one belongs: nearly always at the end. */
  function placeFor(sequence: S): number {
    let low = 0;
    let high = sequences.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const other = sequences[middle];
      if (other !== undefined && goesBefore(sequence, other)) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  return {
    add(sequence) {
      sequences.splice(placeFor(sequence), 0, sequence);
    },
    first: () => sequences[0],
    removeFirst() {
      sequences.shift();
    },
    removeWhere(test) {
      if (sequences.some(test)) sequences = sequences.filter((sequence) => !test(sequence));
    },
    all: () => sequences,
  };
}
