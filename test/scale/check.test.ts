/** Each thing that must not be is told. */
import { expect, test } from 'vitest';
import { checkScale } from './check.ts';
import type { ScaleEvidence } from './check.ts';

const STREAM: ScaleEvidence['streams'][number] = {
  fromMs: 0,
  firstMs: 1,
  toMs: 2,
  end: 'completed',
  text: 'Hi',
  expected: 'Hi',
  isGapless: true,
  jobId: 'job_1',
  workers: ['one', 'two'],
  resets: 0,
};
const JOB: ScaleEvidence['jobs'][number] = {
  id: 'job_1',
  status: 'completed',
  text: 'Hi',
  continued: 1,
  tokens: 2,
  loggedText: 'Hi',
  isGapless: true,
  terminalEvents: 1,
};

function checked({
  stream = {},
  job = {},
  crashes = [],
}: {
  stream?: Partial<typeof STREAM>;
  job?: Partial<typeof JOB>;
  crashes?: string[];
}): string[] {
  return checkScale({ streams: [{ ...STREAM, ...stream }], jobs: [{ ...JOB, ...job }], crashes });
}

test('says nothing of a run that kept the promise', () => {
  expect(checked({})).toEqual([]);
});

test.each([
  [{ stream: { jobId: null } }, 'nobody took'],
  [{ job: { id: 'job_2' } }, 'job_1 was acknowledged and is lost'],
  [{ job: { id: 'job_2' } }, 'job_2 is there twice, or nobody asked for it'],
  [{ stream: { end: 'failed' } }, 'the stream of job_1: failed'],
  [{ stream: { isGapless: false } }, 'the stream of job_1 has a gap'],
  [{ stream: { resets: 1 } }, 'began anew'],
  [{ stream: { text: 'Hi Hi' } }, 'another text'],
  [{ stream: { expected: null } }, 'another text'],
  [{ job: { status: 'failed' } }, 'job_1 is failed'],
  [{ job: { terminalEvents: 2 } }, 'has ended 2 times'],
  [{ job: { isGapless: false } }, 'the log of job_1 has a gap'],
  [{ job: { loggedText: 'H' } }, 'not what its log says'],
  [{ crashes: ['worker-1: ended with 1'] }, 'worker-1'],
])('tells of %j', (evidence, problem) => {
  expect(checked(evidence).join()).toContain(problem);
});
