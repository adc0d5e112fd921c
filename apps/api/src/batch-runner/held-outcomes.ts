/**
 * The outcomes of all batches that are known and not yet durable. Each of their lines has its job in Redis
 * until then, beside whatever waits in a tier: so they are limited over all batches together, and nothing
 * more is fed while the file store takes none.
 */
export interface HeldOutcomes {
  /** For those of one batch. */
  open(): HeldShare;
  /** No more shall be collected until some are durable. */
  isFull(): boolean;
  /** Nothing shall be fed: it is full, or the file store has refused some and not taken them since. */
  isBlocked(): boolean;
}

interface HeldShare {
  add(more: Amount): void;
  remove(less: Amount): void;
  refused(isRefused: boolean): void;
  /** There is no room left, and this one has no less than others: it is the one to make room. */
  isToShrink(): boolean;
  /** It holds nothing any more. */
  close(): void;
}

interface Amount {
  readonly lines: number;
  readonly bytes: number;
}

export function createHeldOutcomes(max: Amount): HeldOutcomes {
  const shares = new Set<{ lines: number; bytes: number; isRefused: boolean }>();

  function sum(of: keyof Amount): number {
    let all = 0;
    for (const share of shares) all += share[of];
    return all;
  }

  const isOver = (of: keyof Amount) => sum(of) >= max[of];
  const isFull = () => isOver('lines') || isOver('bytes');

  return {
    open() {
      const share = { lines: 0, bytes: 0, isRefused: false };
      shares.add(share);
      return {
        add({ lines, bytes }) {
          share.lines += lines;
          share.bytes += bytes;
        },
        remove({ lines, bytes }) {
          share.lines -= lines;
          share.bytes -= bytes;
        },
        refused: (isRefused) => void (share.isRefused = isRefused),
        // One of them always has as much as the mean.
        isToShrink: () =>
          (['lines', 'bytes'] as const).some(
            (of) => isOver(of) && share[of] >= sum(of) / shares.size,
          ),
        close: () => void shares.delete(share),
      };
    },
    isFull,
    isBlocked: () => isFull() || [...shares].some(({ isRefused }) => isRefused),
  };
}
