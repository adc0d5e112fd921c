/** The receiver in the documentation is a receiver: it is run as it stands there. */
import { spawn } from 'node:child_process';
import { createHmac, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { freePort } from '../harness/redis-server.ts';
import { waitUntil } from '../harness/wait-until.ts';

const ROOT = join(import.meta.dirname, '../..');
const KEY = randomBytes(32);
const BODY = JSON.stringify({ id: 'evt_1', type: 'job.completed', data: { id: 'job_1' } });

let port: number;
let output = '';
let receiver: ReturnType<typeof spawn>;

beforeAll(async () => {
  const page = readFileSync(join(ROOT, 'docs/webhooks.md'), 'utf8');
  const [, code = ''] = /```js\n(\/\/ receiver\.mjs[\s\S]*?)```/.exec(page) ?? [];
  port = await freePort();
  const child = spawn(process.execPath, ['--input-type=module', '-'], {
    // Where its library is found.
    cwd: join(ROOT, 'test'),
    env: { PORT: String(port), WEBHOOK_SECRET: `whsec_${KEY.toString('base64')}` },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  child.stdin.end(code);
  receiver = child;
  await waitUntil('it listens', () => deliver({ key: randomBytes(32) }).catch(() => null));
});
afterAll(() => void receiver.kill('SIGKILL'));

/** Sends a webhook, signed by the formula; returns the status. */
async function deliver({ key = KEY, body = BODY, ageS = 0 } = {}): Promise<number> {
  const timestamp = String(Math.floor(Date.now() / 1_000) - ageS);
  const signature = createHmac('sha256', key).update(`evt_1.${timestamp}.${BODY}`).digest('base64');
  const headers = {
    'webhook-id': 'evt_1',
    'webhook-timestamp': timestamp,
    'webhook-signature': `v1,${signature}`,
  };
  const url = `http://127.0.0.1:${port}/`;
  return (await fetch(url, { method: 'POST', headers, body })).status;
}

it('takes what is signed, and acts on it once', async () => {
  expect([await deliver(), await deliver()]).toEqual([204, 204]);
  await waitUntil('it acts', () => output);
  expect(output).toBe('job.completed job_1\n');
});

it.each([
  ['signed with another secret', { key: randomBytes(32) }],
  ['changed on its way', { body: BODY.replace('completed', 'cancelled') }],
  ['older than five minutes', { ageS: 310 }],
  ['from the future', { ageS: -310 }],
])('refuses what is %s', async (_name, options) => {
  expect(await deliver(options)).toBe(401);
});
