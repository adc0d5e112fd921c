/** The worker's client of engines, against every engine that it must bear, in every way it may fail. */
import { beforeAll, describe, expect, inject, it } from 'vitest';
import { knownPersonas } from './persona.ts';
import { runPersonas } from './run-personas.ts';
import type { PersonaRun } from './run-personas.ts';
import { ROWS, faultsWithoutRow } from './rows/rows.ts';

const RUN_TIMEOUT_MS = 300_000;
const PERSONAS = knownPersonas();

let runs: PersonaRun[];
beforeAll(() => {
  runs = runPersonas({ redisUrl: inject('redisUrl'), personas: PERSONAS, rows: ROWS });
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
        const run = runs.find(({ persona }) => persona.name === name);
        const results = (await run?.results) ?? [];
        const result = results.find(({ row }) => row.section === section && row.name === rowName);
        expect(result?.verdict.kind === 'failed' ? result.verdict.problems : []).toEqual([]);
        expect(result).toBeDefined();
      },
      RUN_TIMEOUT_MS,
    );
  });
});
