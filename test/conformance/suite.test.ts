/** The suite itself: a row that should fail does, and says why. */
import { beforeAll, describe, expect, inject, it } from 'vitest';
import { knownPersonas } from './persona.ts';
import { AGAIN, AT_ONCE, carriedOn } from './row.ts';
import type { JobRow } from './row.ts';
import { runJobRows } from './run-rows.ts';
import type { RowResult } from './run-rows.ts';

const RUN_TIMEOUT_MS = 120_000;
const row = (fields: Partial<JobRow> & Pick<JobRow, 'name' | 'expected'>): JobRow => ({
  kind: 'job',
  section: 'answers',
  ...fields,
});

const ROWS: readonly JobRow[] = [
  row({ name: 'an answer', expected: () => AT_ONCE }),
  row({
    name: 'an answer that is carried on',
    faults: [{ name: 'cut', params: { after: 6 } }],
    expected: carriedOn,
  }),
  row({
    name: 'another expectation',
    faults: [{ name: 'status', params: { status: 500 } }],
    expected: () => AT_ONCE,
  }),
  row({
    name: 'no fault at all',
    faults: [{ name: 'cut', params: { after: 10_000 } }],
    expected: () => AGAIN,
  }),
  row({ name: 'a check', expected: () => AT_ONCE, check: () => ['as it was told'] }),
];

let results: readonly RowResult[];
beforeAll(async () => {
  const [persona] = knownPersonas();
  if (persona === undefined) throw new Error('There is no persona.');
  // Engines whose every answer is another one than the undisturbed engine's, and looks as good.
  results = await runJobRows(ROWS, { redisUrl: inject('redisUrl'), persona, engineSeed: 8 });
}, RUN_TIMEOUT_MS);

function problemsOf(name: string): string {
  const verdict = results.find((result) => result.row.name === name)?.verdict;
  return verdict?.kind === 'failed' ? verdict.problems.join('\n') : '';
}

describe('a row fails', () => {
  it.each(['an answer', 'an answer that is carried on'])('when the text is wrong: %s', (name) => {
    expect(problemsOf(name)).toContain('text in the log');
    expect(problemsOf(name)).toContain('text in the record');
  });

  it('when something else happens than is expected', () => {
    expect(problemsOf('another expectation')).toContain('attempts: 2, expected 1');
    expect(problemsOf('another expectation')).toContain('requests: 2, expected 1');
    expect(problemsOf('another expectation')).toContain('burnt tries: 1, expected 0');
  });

  it('when its fault does not take effect', () => {
    expect(problemsOf('no fault at all')).toContain('cut took effect 0 times, not once');
  });

  it('when its own check finds something', () => {
    expect(problemsOf('a check')).toContain('as it was told');
  });
});
