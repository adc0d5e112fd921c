import { QarrError } from '@qarr/router-core';
import { expect, it } from 'vitest';
import { createRefusalLog } from './refusal-log.ts';

const congestion = { tier: 'fast', retryAfterMs: 1_000, estimatedWaitMs: 5, queueDepth: 7 };

/** The lines that so many refusals at these times have made, without those at `debug`. */
function logged(timesMs: readonly number[]) {
  const lines: object[] = [];
  const quiet: object[] = [];
  const log = {
    info: (line: object) => lines.push(line),
    debug: (line: object) => quiet.push(line),
  };
  let nowMs = 0;
  const note = createRefusalLog({ perSecondMax: 2, now: () => nowMs });
  for (const [index, timeMs] of timesMs.entries()) {
    nowMs = timeMs;
    note(log as never, new QarrError('overloaded', { congestion }), { trace_id: `t${index}` });
  }
  return { lines, quiet };
}

it('says each refusal, with what it was told', () => {
  expect(logged([0]).lines).toEqual([
    {
      trace_id: 't0',
      cause: 'overloaded',
      tier: 'fast',
      retry_after_ms: 1_000,
      estimated_wait_ms: 5,
      queue_depth: 7,
      left_out: 0,
    },
  ]);
});

it('says so many a second, how many it has left out, and these for whoever looks closer', () => {
  const { lines, quiet } = logged([0, 1, 2, 999, 1_000, 1_001, 1_002]);
  expect(lines).toMatchObject([
    { trace_id: 't0', left_out: 0 },
    { trace_id: 't1', left_out: 0 },
    { trace_id: 't4', left_out: 2 },
    { trace_id: 't5', left_out: 0 },
  ]);
  expect(quiet).toMatchObject([{ trace_id: 't2' }, { trace_id: 't3' }, { trace_id: 't6' }]);
});
