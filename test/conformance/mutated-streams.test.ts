import { expect, it } from 'vitest';
import { readMutatedStreams } from './mutated-streams.ts';
import { knownPersonas } from './persona.ts';
import { recordStreams } from './recordings.ts';

const STREAMS = 100_000;

it('never takes a damaged stream for another answer than its bytes say', async () => {
  const recordings = await recordStreams(knownPersonas());
  console.error(recordings.map((r) => [r.name, r.bytes.length]));
  const t = performance.now();
  const counts = readMutatedStreams(recordings, { streams: STREAMS, seed: 1 });
  console.error(counts, performance.now() - t);
  expect(counts.streams).toBe(STREAMS);
}, 200_000);
