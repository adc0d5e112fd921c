import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { EngineOutcome } from '../engine.ts';
import { failureOfEnding, failureOfStatus } from '../engine-failure.ts';
import type { EngineFailure } from '../engine-failure.ts';
import { FULL_TRUST, judge } from './trust.ts';

const well: EngineOutcome = { usage: null, ending: { kind: 'whole', finishReasons: ['stop'] } };
const failed = (failure: EngineFailure): EngineOutcome => ({
  usage: null,
  ending: { kind: 'failed', failure },
});
const badly = failed(failureOfEnding(null));
const neutral: EngineOutcome[] = [
  failed(failureOfStatus(400, '')),
  failed(failureOfStatus(503, '')),
  failed(failureOfStatus(429, '')),
  { usage: null, ending: { kind: 'aborted' } },
];

/** The rests that these outcomes lead to, with the number of the job that each came after. */
function rests(
  outcomes: readonly EngineOutcome[],
  limits = { afterFailures: 5, firstMs: 15_000 },
): [job: number, restMs: number][] {
  let trust = FULL_TRUST;
  const found: [number, number][] = [];
  for (const [index, outcome] of outcomes.entries()) {
    const judged = judge(trust, outcome, { limits, random: 0.5 });
    trust = judged.trust;
    if (judged.restMs !== null) found.push([index + 1, judged.restMs]);
  }
  return found;
}

describe('an engine that fails its jobs', () => {
  it('rests after five in a row, longer each time, and not for ever', () => {
    const found = rests(Array<EngineOutcome>(12).fill(badly));
    expect(found.slice(0, 4)).toEqual([
      [5, 15_000],
      [6, 30_000],
      [7, 60_000],
      [8, 120_000],
    ]);
    expect(found.at(-1)).toEqual([12, 300_000]);
  });

  it('is trusted again after one that it did well', () => {
    const four = Array<EngineOutcome>(4).fill(badly);
    expect(rests([...four, well, ...four])).toEqual([]);
    expect(rests([...four, badly, well, ...four, badly])).toEqual([
      [5, 15_000],
      [11, 15_000],
    ]);
  });

  it('never rests where that is switched off', () => {
    const limits = { afterFailures: 0, firstMs: 1 };
    expect(rests(Array<EngineOutcome>(20).fill(badly), limits)).toEqual([]);
  });

  it('never rests for what is not its fault', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(well, ...neutral)), (outcomes) => {
        expect(rests(outcomes)).toEqual([]);
      }),
    );
  });
});
