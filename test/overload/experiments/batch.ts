/** Interactive work at a fixed load, without and with a large batch beside it, in turns. */
import { setTimeout as sleep } from 'node:timers/promises';
import { percentilesOf, shareOf } from '../figures/statistics.ts';
import type { Percentiles } from '../figures/statistics.ts';
import { isIn } from '../figures/window-figures.ts';
import type { Window } from '../figures/window-figures.ts';
import { nowMs } from '../load/outcome.ts';
import { sharesOf } from '../world/cpu.ts';
import { LONG_DEADLINES } from '../world/shape.ts';
import type { Capacity } from './capacity.ts';
import { drain, holdRate } from './session.ts';
import type { Session } from './session.ts';

export const BATCH_LINES = 20_000;
/** Lines that are accepted and not done: more than all slots, far fewer than the batch. */
const FEED_WINDOW = 100;
/** Of capacity, by clients who are connected: there is room for a batch, but not for all of it. */
export const INTERACTIVE_FACTOR = 0.5;
/** Each of them without and with the batch, so that a machine that gets slower slows both. */
const ROUNDS = 2;
/** At the beginning of each turn. */
const SETTLE_MS = 8_000;
const ONLY_CHATS = { interactive: 1, standard: 0, batch: 0 } as const;

export interface BatchResult {
  readonly without: Percentiles | null;
  readonly with: Percentiles | null;
  /** Of the p95 of interactive times to first token. */
  readonly p95Ratio: number | null;
  readonly linesDone: number;
  readonly linesFailed: number;
  readonly linesRefused: number;
  /** Lines done per second while it was fed. */
  readonly linesPerS: number;
  /** Of the capacity that was measured. */
  readonly capacityShare: number | null;
  readonly cpu: Readonly<Record<string, number>>;
}

export async function runBatch(
  session: Session,
  { capacity, turnMs, say }: { capacity: Capacity; turnMs: number; say: (line: string) => void },
): Promise<BatchResult> {
  const { generator, cpu } = session;
  const perSecond = INTERACTIVE_FACTOR * capacity.totalPerS;
  const turns: Record<'without' | 'with', Window[]> = { without: [], with: [] };
  const lines = { failed: 0, refused: 0 };

  const turn = async (kind: 'without' | 'with') => {
    await holdRate(session, { perSecond, classes: ONLY_CHATS, forMs: SETTLE_MS });
    const fromMs = nowMs();
    await sleep(turnMs);
    turns[kind].push({ fromMs, toMs: nowMs() });
  };
  for (let round = 0; round < ROUNDS; round += 1) {
    say(`interactive alone, then with a batch: turn ${round + 1} of ${ROUNDS}`);
    await turn('without');
    generator.tell({ kind: 'feed', lines: BATCH_LINES, window: FEED_WINDOW });
    await turn('with');
    lines.failed += generator.feed?.failed ?? 0;
    lines.refused += generator.feed?.refused ?? 0;
    await stopFeed(session);
  }
  await drain(session, LONG_DEADLINES);
  await generator.stop();

  const ttfts = (windows: readonly Window[]) =>
    percentilesOf(
      generator.outcomes.flatMap(({ dueMs, firstTokenMs }) =>
        firstTokenMs !== null && windows.some((window) => isIn(dueMs, window))
          ? [firstTokenMs - dueMs]
          : [],
      ),
    );
  const without = ttfts(turns.without);
  const withBatch = ttfts(turns.with);
  const linesDone = generator.linesDoneMs.filter((doneMs) =>
    turns.with.some((window) => isIn(doneMs, window)),
  ).length;
  const fedS = turns.with.reduce((sum, { fromMs, toMs }) => sum + (toMs - fromMs) / 1_000, 0);
  const linesPerS = linesDone / fedS;
  return {
    without,
    with: withBatch,
    p95Ratio: shareOf(withBatch?.p95 ?? 0, without?.p95 ?? 0),
    linesDone,
    linesFailed: lines.failed,
    linesRefused: lines.refused,
    linesPerS,
    capacityShare: shareOf(linesPerS, capacity.totalPerS),
    cpu: sharesOf(cpu.samples, turns.with[0] ?? { fromMs: 0, toMs: 0 }),
  };
}

const LOOK_EVERY_MS = 200;
const STOP_TIMEOUT_MS = 30_000;

/** The lines that are out belong to the turn before: they are cancelled. */
async function stopFeed({ generator }: Session): Promise<void> {
  generator.tell({ kind: 'stop feed' });
  const deadlineMs = nowMs() + STOP_TIMEOUT_MS;
  while (generator.feed !== null && nowMs() < deadlineMs) await sleep(LOOK_EVERY_MS);
}
