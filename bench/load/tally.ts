/** Counts what becomes of a load's answers. */
import { createSamples } from './samples.ts';
import type { LoadResult } from './load.ts';

export interface Tally {
  /** Answers that begin from now on are sampled, and tokens counted as those of a full load. */
  beginFull(): void;
  endFull(): void;
  readonly isFull: boolean;
  onTokens(count: number): void;
  onGap(ms: number): void;
  onWhole(answer: { ttftMs: number; answerMs: number; isSampled: boolean }): void;
  onRead(read: { bytes: number; chunks: number }): void;
  onError(why: string, detail: string): void;
  onLate(ms: number): void;
  result(): Omit<LoadResult, 'tookMs' | 'client'>;
}

export function createTally(): Tally {
  const ttftMs = createSamples();
  const answerMs = createSamples();
  const gapsMs = createSamples();
  const latenessMs = createSamples();
  const errors = new Map<string, number>();
  const full = { ms: 0, tokens: 0, answers: 0 };
  let fullFromMs: number | null = null;
  let firstError: string | null = null;
  let whole = 0;
  let tokens = 0;
  let bytes = 0;
  let chunks = 0;

  return {
    beginFull() {
      fullFromMs = performance.now();
    },
    endFull() {
      if (fullFromMs !== null) full.ms = performance.now() - fullFromMs;
      fullFromMs = null;
    },
    get isFull() {
      return fullFromMs !== null;
    },
    onTokens(count) {
      tokens += count;
      if (fullFromMs !== null) full.tokens += count;
    },
    onGap: (ms) => gapsMs.add(ms),
    onWhole(answer) {
      whole += 1;
      if (fullFromMs !== null) full.answers += 1;
      if (!answer.isSampled) return;
      ttftMs.add(answer.ttftMs);
      answerMs.add(answer.answerMs);
    },
    onRead(read) {
      bytes += read.bytes;
      chunks += read.chunks;
    },
    onError(why, detail) {
      errors.set(why, (errors.get(why) ?? 0) + 1);
      firstError ??= `${why}: ${detail}`;
    },
    onLate: (ms) => latenessMs.add(ms),
    result: () => ({
      whole,
      errors: Object.fromEntries(errors),
      firstError,
      ttftMs: ttftMs.take(),
      answerMs: answerMs.take(),
      gapsMs: gapsMs.take(),
      tokens,
      bytes,
      chunks,
      full,
      latenessMs: latenessMs.take(),
    }),
  };
}
