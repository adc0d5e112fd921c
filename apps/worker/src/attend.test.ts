import type { JobStanding } from '@qarr/job-store';
import { expect, it, onTestFinished, vi } from 'vitest';
import { startAttending, stopOf } from './attend.ts';
import type { Held } from './attend.ts';

const RUNNING: JobStanding = { state: 'running', attempt: 2, cancelRequested: false };

it.each([
  ['that is its own', RUNNING, null],
  ['that shall be cancelled', { ...RUNNING, cancelRequested: true }, 'cancel'],
  ['that another attempt has', { ...RUNNING, attempt: 3 }, 'superseded'],
  ['that another attempt has and that shall be cancelled', other(), 'superseded'],
  ['that waits again', { ...RUNNING, state: 'queued' }, 'superseded'],
  ['that is over', { ...RUNNING, state: 'completed' }, 'superseded'],
  ['that is gone', null, 'superseded'],
] as const)('what an attempt does with a job %s', (_name, standing, stop) => {
  expect(stopOf(2, standing)).toBe(stop);
});

function other(): JobStanding {
  return { state: 'running', attempt: 3, cancelRequested: true };
}

it('tells each job its own standing, again and again, whatever fails meanwhile', async () => {
  const seen: string[] = [];
  const errors: string[] = [];
  const held: Held[] = ['a', 'b'].map((jobId) => ({
    jobId,
    onStanding: (standing) => seen.push(`${jobId} ${standing?.attempt ?? 'gone'}`),
  }));
  let looks = 0;
  const attending = startAttending({
    held: () => held,
    async look(jobIds) {
      looks += 1;
      if (looks === 2) throw new Error('no answer');
      return jobIds.map((jobId) => (jobId === 'a' ? RUNNING : null));
    },
    everyMs: 1,
    onError: ({ message }) => errors.push(message),
  });
  onTestFinished(() => attending.stop());
  await vi.waitFor(() => expect(seen.length).toBeGreaterThanOrEqual(4));
  expect(seen.slice(0, 4)).toEqual(['a 2', 'b gone', 'a 2', 'b gone']);
  expect(errors).toEqual(['no answer']);
});

it('asks nothing where nothing is held', async () => {
  let asked = 0;
  let held = 0;
  const attending = startAttending({
    held() {
      held += 1;
      return [];
    },
    async look() {
      asked += 1;
      return [];
    },
    everyMs: 1,
    onError() {},
  });
  onTestFinished(() => attending.stop());
  await vi.waitFor(() => expect(held).toBeGreaterThan(2));
  expect(asked).toBe(0);
});
