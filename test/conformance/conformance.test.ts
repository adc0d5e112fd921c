/** The worker's client of engines, against every engine that it must bear, in every way it may fail. */
import { beforeAll, describe, expect, inject, it } from 'vitest';
import { knownPersonas } from './persona.ts';
import { CUTS } from './random-cuts.ts';
import type { CutCounts } from './random-cuts.ts';
import { runSuite } from './run-suite.ts';
import type { SuiteRun } from './run-suite.ts';
import { ROWS, faultsWithoutRow } from './rows/rows.ts';

const RUN_TIMEOUT_MS = 300_000;
const PERSONAS = knownPersonas();

let run: SuiteRun;
beforeAll(() => {
  run = runSuite({ redisUrl: inject('redisUrl'), personas: PERSONAS, rows: ROWS, cuts: CUTS });
});

it('says of every fault of the simulator what it comes to', () => {
  expect(faultsWithoutRow()).toEqual([]);
});

it('has a name for every row', () => {
  const names = ROWS.map(({ section, name }) => `${section}: ${name}`);
  expect(new Set(names).size).toBe(names.length);
});

describe.each(PERSONAS.map(({ name }) => name))('an engine like %s', (name) => {
  describe.each([...new Set(ROWS.map(({ section }) => section))])('%s', (section) => {
    const names = ROWS.filter((row) => row.section === section).map((row) => row.name);
    it.each(names)(
      '%s',
      async (rowName) => {
        const results = await run.personas.find(({ persona }) => persona.name === name)?.results;
        const result = results?.find(({ row }) => row.section === section && row.name === rowName);
        expect(result?.verdict.kind === 'failed' ? result.verdict.problems : []).toEqual([]);
        expect(result).toBeDefined();
      },
      RUN_TIMEOUT_MS,
    );
  });
});

describe('answers that break at a random byte', () => {
  it.each(CUTS)(
    'are whole when they are completed: $jobs of $persona.name',
    async ({ persona, jobs }) => {
      const counts = await run.cuts.find((each) => each.persona === persona)?.counts;
      expect(counts).toMatchObject({ jobs, problems: [] });
      expect(counts).toSatisfy(isTelling);
    },
    RUN_TIMEOUT_MS,
  );
});

/** Else nothing was tested. */
function isTelling({ jobs, broken, completed, continued, failed }: CutCounts): boolean {
  return completed + failed === jobs && broken > jobs / 4 && continued > jobs / 10;
}
