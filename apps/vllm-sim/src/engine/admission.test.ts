import { expect, test } from 'vitest';
import { checkAdmission } from './admission.ts';

const none = { queuedRequestsMax: undefined, queuedTokensMax: undefined };
const idle = { sequences: 0, prefillTokens: 0 };

test('without limits everyone enters', () => {
  const load = { sequences: 1e6, prefillTokens: 1e9 };
  expect(checkAdmission(none, load, { choices: 100 })).toEqual({ kind: 'admitted' });
});

test('a request enters whole or not at all', () => {
  const limits = { ...none, queuedRequestsMax: 10 };
  const load = { ...idle, sequences: 7 };
  expect(checkAdmission(limits, load, { choices: 3 })).toEqual({ kind: 'admitted' });
  expect(checkAdmission(limits, load, { choices: 4 })).toEqual({
    kind: 'refused',
    reason: 'max_num_queued_reqs',
  });
});

test('prompts that are not computed yet close the door', () => {
  const limits = { ...none, queuedTokensMax: 100 };
  const admissions = [99, 100].map((prefillTokens) =>
    checkAdmission(limits, { sequences: 1, prefillTokens }, { choices: 1 }),
  );
  expect(admissions).toEqual([
    { kind: 'admitted' },
    { kind: 'refused', reason: 'max_num_queued_tokens' },
  ]);
});

test('the number of requests is looked at first', () => {
  const limits = { queuedRequestsMax: 1, queuedTokensMax: 1 };
  const load = { sequences: 1, prefillTokens: 1 };
  expect(checkAdmission(limits, load, { choices: 1 })).toMatchObject({
    reason: 'max_num_queued_reqs',
  });
});
