import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createClient } from '@qarr/client';
import { afterEach, expect, test } from 'vitest';
import { streamAnswer, submitPrompt } from './jobs.ts';

let server: Server | undefined;
afterEach(async () => {
  if (server === undefined) return;
  const closed = once(server, 'close');
  server.close();
  server.closeAllConnections();
  await closed;
  server = undefined;
});

/** An API that takes every job, and whose jobs have these events. */
async function serve(events: readonly object[], { ends = true } = {}) {
  const bodies: string[] = [];
  server = createServer((request: IncomingMessage, response: ServerResponse) => {
    let body = '';
    request.on('data', (bytes: Buffer) => (body += bytes.toString()));
    request.on('end', () => {
      if (request.method === 'POST') bodies.push(body);
      response.writeHead(200);
      if (request.method === 'POST') response.end('{"id":"job_1"}');
      for (const [index, event] of events.entries()) {
        if (request.method === 'GET') {
          response.write(`id: ${index + 1}\ndata: ${JSON.stringify(event)}\n\n`);
        }
      }
      if (ends) response.end();
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  let output = '';
  let problems = '';
  const giving = new AbortController();
  const deps = {
    client: createClient({ baseUrl }),
    baseUrl,
    hasKey: false,
    asJson: false,
    stdout: { write: (text: string) => (output += text) },
    stderr: { write: (text: string) => (problems += text) },
    signal: giving.signal,
  };
  return { deps, bodies, giving, output: () => output, problems: () => problems };
}

const delta = (text: string, more = {}) => ({ type: 'delta', text, ...more });
const COMPLETED = { type: 'completed' };

test('prints the id of a job that is not waited for', async () => {
  const { deps, bodies, output } = await serve([]);
  await submitPrompt({ prompt: 'Hi', tier: 'fast' }, { ...deps, waits: false });
  expect(output()).toBe('job_1\n');
  expect(bodies.map((body) => JSON.parse(body))).toEqual([{ prompt: 'Hi', tier: 'fast' }]);
});

test('prints the text of the first choice as it comes, and nothing that moves a terminal', async () => {
  const { deps, output } = await serve([
    { type: 'started' },
    delta('One,\n\u001B[2Jtwo'),
    delta('another', { index: 1 }),
    COMPLETED,
  ]);
  await submitPrompt({ prompt: 'Hi' }, { ...deps, waits: true });
  expect(output()).toBe('One,\n\uFFFD[2Jtwo\n');
});

test('tells programs the job, each event, or the job that has ended, and nothing else', async () => {
  const { deps, output } = await serve([delta('One\u009B2J'), COMPLETED]);
  await submitPrompt({ prompt: 'Hi' }, { ...deps, waits: false, asJson: true });
  expect(JSON.parse(output())).toEqual({ id: 'job_1' });
  const before = output().length;
  await streamAnswer('job_1', { ...deps, asJson: true });
  const lines = output().slice(before).trimEnd().split('\n');
  expect(lines.map((line) => JSON.parse(line))).toEqual([
    { type: 'delta', text: 'One\u009B2J', seq: 1 },
    { type: 'completed', seq: 2 },
  ]);
  expect(lines.join('')).not.toMatch(/\p{Cc}/u);
});

test('says by its end that a job has failed, also to programs', async () => {
  const failed = { type: 'failed', error: { code: 'worker_lost', message: 'No.' } };
  const { deps, output } = await serve([failed]);
  await expect(streamAnswer('job_1', { ...deps, asJson: true })).rejects.toThrow(
    'the job has failed (worker_lost): No.',
  );
  expect(JSON.parse(output())).toMatchObject(failed);
});

test.each<[string, object, string]>([
  [
    'failed',
    { type: 'failed', error: { code: 'worker_lost', message: 'The worker died.' } },
    'the job has failed (worker_lost): The worker died.',
  ],
  ['cancelled', { type: 'cancelled' }, 'the job was cancelled'],
])('says that a job has %s, after the text so far', async (_name, event, message) => {
  const { deps, output } = await serve([delta('So far'), event]);
  await expect(streamAnswer('job_1', deps)).rejects.toThrow(message);
  expect(output()).toBe('So far\n');
});

test('says how to go on when it is told to stop', async () => {
  const { deps, giving, output, problems } = await serve([delta('So far')], { ends: false });
  const streaming = streamAnswer('job_1', {
    ...deps,
    stdout: {
      write(text) {
        deps.stdout.write(text);
        giving.abort();
      },
    },
  });
  await expect(streaming).rejects.toMatchObject({ code: 'aborted' });
  expect(output()).toBe('So far\n');
  expect(problems()).toBe('the job goes on: qarr stream job_1\n');
});
