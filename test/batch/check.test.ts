/** The checks find what is planted. */
import { expect, test } from 'vitest';
import { checkBatch } from './check.ts';
import type { Evidence, FileSeen, OutcomeLine } from './evidence.ts';
import { lineAt } from './input.ts';

const LINES = Array.from({ length: 4 }, (_, index) =>
  lineAt('check', index, { tokens: [4, 8], tiers: ['fast'] }),
);
const GOOD = LINES.map((line, index) => ({ ...line, wrong: index === 3 ? (400 as const) : null }));
const file = (lines: number): FileSeen => ({ bytes: 9, contentBytes: 9, sha256: 'a', lines });
const poll = (status: string, completed: number, failed = 0) => ({
  atMs: 0,
  status,
  total: 4,
  completed,
  failed,
});
const run = (fromMs: number, toMs: number | null) => ({ fromMs, toMs });

const OUTCOMES: readonly OutcomeLine[] = GOOD.map(({ customId, wrong }) => ({
  customId,
  file: wrong === null ? 'output' : 'error',
  status: wrong ?? 200,
  code: wrong === null ? null : 'invalid_request',
  tier: 'fast',
  text: `to ${customId}`,
  promptTokens: 10,
  completionTokens: 2,
}));

const KEPT: Evidence = {
  lines: GOOD,
  batch: {
    id: 'batch_1',
    status: 'completed',
    output_file_id: 'file-1',
    error_file_id: 'file-2',
    request_counts: { total: 4, completed: 3, failed: 1 },
    usage: { input_tokens: 30, output_tokens: 6, total_tokens: 36 },
  },
  polls: [poll('validating', 0), poll('in_progress', 2), poll('completed', 3, 1)],
  atEnd: { output: file(3), error: file(1) },
  later: { output: file(3), error: file(1) },
  outcomes: OUTCOMES,
  results: OUTCOMES.map(({ customId }) => customId),
  runs: new Map([
    [0, [run(0, 10)]],
    [1, [run(0, 20), run(60, 90)]],
    [2, [run(0, null), run(60, 90)]],
  ]),
  kills: [{ kind: 'worker', name: 'worker-1', atMs: 50, backMs: 55 }],
  streams: [
    {
      fromMs: 0,
      firstMs: 1,
      toMs: 2,
      end: 'completed',
      text: 'Hi',
      expected: 'Hi',
      isGapless: true,
      jobId: 'job_1',
      workers: ['w'],
      resets: 0,
    },
  ],
  undisturbed: new Map(OUTCOMES.map(({ customId, text }) => [customId, text ?? ''])),
};

test('say nothing of a batch that kept its promise', () => {
  expect(checkBatch(KEPT)).toEqual([]);
});

const without = (index: number) => OUTCOMES.filter((_, at) => at !== index);
const changed = (index: number, fields: Partial<OutcomeLine>) =>
  OUTCOMES.map((line, at) => (at === index ? { ...line, ...fields } : line));

test.each<[string, Partial<Evidence>, string]>([
  ['a line that is lost', { outcomes: without(0) }, 'once'],
  ['a line that is there twice', { outcomes: [...OUTCOMES, ...OUTCOMES.slice(0, 1)] }, 'once'],
  ['a line of somebody else', { outcomes: changed(0, { customId: 'foreign' }) }, 'once'],
  [
    'a counter that is wrong',
    { batch: { ...KEPT.batch, request_counts: { total: 4, completed: 4, failed: 0 } } },
    'counts',
  ],
  ['a usage that is wrong', { outcomes: changed(0, { promptTokens: 11 }) }, 'counts'],
  [
    'a file that is cut',
    { atEnd: { ...KEPT.atEnd, output: { ...file(3), contentBytes: 8 } } },
    'files',
  ],
  ['a file that is not there yet', { atEnd: { ...KEPT.atEnd, output: null } }, 'files'],
  ['a file without its last lines', { atEnd: { ...KEPT.atEnd, error: file(0) } }, 'files'],
  [
    'a file that is written after the end',
    { later: { ...KEPT.later, output: { ...file(3), sha256: 'b' } } },
    'files',
  ],
  ["another's answer", { outcomes: changed(0, { text: 'to somebody' }) }, 'answers'],
  ['a line that failed', { outcomes: changed(0, { file: 'error', status: 502 }) }, 'answers'],
  ['a wrong line that was answered', { outcomes: changed(3, { status: 200 }) }, 'answers'],
  ['a line that ran again after an API was killed', { kills: killed('api') }, 'runs'],
  ['a line that ran again after a runner was killed', { kills: killed('runner') }, 'runs'],
  ['a line that ran twice, the first long over', { runs: ranAgain(-2_000) }, 'runs'],
  ['a line that ran twice, long after the kill', { runs: ranAgain(2_000, 2_001) }, 'runs'],
  ['a line that never ran', { runs: new Map() }, 'runs'],
  ['results that are not all', { results: KEPT.results.slice(1) }, 'results'],
  ['results twice', { results: [...KEPT.results, ...KEPT.results] }, 'results'],
  ['a counter that falls', { polls: [poll('in_progress', 3), poll('in_progress', 2)] }, 'life'],
  ['a state that comes back', { polls: [poll('finalizing', 3), poll('in_progress', 3)] }, 'life'],
  ['a batch that never ends', { batch: { ...KEPT.batch, status: 'in_progress' } }, 'life'],
  ['a batch that failed', { polls: [poll('failed', 0)] }, 'life'],
  ['a stream with another text', { streams: stream({ text: 'Ho' }) }, 'streams'],
  ['a stream with a gap', { streams: stream({ isGapless: false }) }, 'streams'],
  ['a stream that failed', { streams: stream({ end: 'failed' }) }, 'streams'],
])('find %s', (_name, fields, rule) => {
  expect(checkBatch({ ...KEPT, ...fields }).map((violation) => violation.rule)).toContain(rule);
});

function killed(kind: 'api' | 'runner'): Evidence['kills'] {
  return [{ kind, name: kind, atMs: 50, backMs: 55 }];
}

function ranAgain(overMs: number, againMs = 60): Evidence['runs'] {
  return new Map([...KEPT.runs, [0, [run(overMs - 1, overMs), run(againMs, againMs + 1)]]]);
}

function stream(fields: Partial<Evidence['streams'][number]>): Evidence['streams'] {
  return KEPT.streams.map((seen) => ({ ...seen, ...fields }));
}
