import { expect, it } from 'vitest';
import { MUTATIONS, readMutatedStreams } from './mutated-streams.ts';
import { knownPersonas } from './persona.ts';
import { recordStreams } from './recordings.ts';

const RUN_TIMEOUT_MS = 180_000;

it(
  'never takes a damaged stream for another answer than its bytes say',
  async () => {
    const counts = readMutatedStreams(await recordStreams(knownPersonas()), MUTATIONS);
    expect(counts.streams).toBe(MUTATIONS.streams);
    // Else it was no test.
    expect(counts.whole).toBeGreaterThan(MUTATIONS.streams / 20);
    expect(counts.silent).toBeGreaterThan(0);
    expect(counts.failed).toBeGreaterThan(MUTATIONS.streams / 20);
  },
  RUN_TIMEOUT_MS,
);
