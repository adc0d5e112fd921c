import { expect, test } from 'vitest';
import { batchRequestSchema, windowMsOf } from './batch-request.ts';

const endpoint = '/v1/chat/completions';
const BASE = { endpoint, completion_window: '24h' };
const line = (fields: object = {}) => ({ custom_id: 'a', body: { messages: [] }, ...fields });

/** Where it is wrong, and what is said; null: nothing is. */
function problem(body: object): string | null {
  const parsed = batchRequestSchema.safeParse(body);
  if (parsed.success) return null;
  const [issue] = parsed.error.issues;
  return `${issue?.path.join('.')} ${issue?.message}`;
}

test('takes a file or requests', () => {
  expect(problem({ ...BASE, input_file_id: 'file-1' })).toBeNull();
  expect(problem({ ...BASE, requests: [line(), line({ custom_id: 'b' })] })).toBeNull();
  expect(problem({ endpoint, requests: [line({ method: 'POST', url: endpoint })] })).toBeNull();
});

test.each([
  [{}, 'input_file_id is required (or requests)'],
  [{ input_file_id: 'file-1', requests: [line()] }, 'requests excludes input_file_id'],
  [{ requests: [] }, 'requests must not be empty'],
  [{ requests: [line(), line()] }, 'requests.1.custom_id was used before in this list'],
  [{ requests: [line({ custom_id: '' })] }, 'requests.0.custom_id must not be empty'],
  [{ requests: [line({ url: '/v1/responses' })] }, `requests.0.url must be the batch's endpoint, `],
  [{ requests: [line({ method: 'GET' })] }, 'requests.0.method must be "POST"'],
  [{ requests: [line({ body: 'Hello' })] }, 'requests.0.body must be an object'],
  [{ requests: ['Hello'] }, 'requests.0 must be an object'],
  [{ input_file_id: 'file-1', endpoint: '/v1/embeddings' }, 'endpoint must be one of /v1/chat/'],
  [{ input_file_id: 'file-1', completion_window: '0h' }, 'completion_window must be a number of'],
  [{ input_file_id: 'file-1', completion_window: '24 h' }, 'completion_window must be a number of'],
  [
    { input_file_id: 'file-1', output_expires_after: { anchor: 'created_at', seconds: 60 } },
    'output_expires_after.seconds must be a whole number from 3600 to 2592000',
  ],
  [
    { input_file_id: 'file-1', output_expires_after: { anchor: 'ended_at', seconds: 3_600 } },
    'output_expires_after.anchor must be "created_at"',
  ],
])('refuses %j', (fields, message) => {
  expect(problem({ ...BASE, ...fields })).toContain(message);
});

test('refuses what it does not know, so that a typo is no default', () => {
  const parsed = batchRequestSchema.safeParse({ ...BASE, input_file_id: 'f', webhook: 'x' });
  expect(parsed.error?.issues[0]).toMatchObject({ code: 'unrecognized_keys', keys: ['webhook'] });
});

test.each([
  ['90m', 5_400_000],
  ['24h', 86_400_000],
  ['7d', 604_800_000],
])('reads %s as %i ms', (window, ms) => {
  expect(windowMsOf(window)).toBe(ms);
});
