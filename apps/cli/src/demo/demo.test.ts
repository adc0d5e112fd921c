import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { afterEach, describe, expect, test } from 'vitest';
import { readConfig } from '../config.ts';
import { freePort } from '../processes/ports.ts';
import { createScreen } from '../screen.ts';
import { runDemo, shorten } from './demo.ts';
import { DEMO_PROMPTS, promptsFor } from './demo-prompts.ts';

const TIMINGS = { queue_wait_ms: 3.4, ttft_ms: 12, run_ms: 900 };
const COMPLETED = {
  finish_reason: 'stop',
  usage: { prompt_tokens: 5, completion_tokens: 87, total_tokens: 92 },
  timings: TIMINGS,
};
const ERROR = { code: 'upstream_error', message: 'The engine failed.', retryable: true };

let server: Server | undefined;
afterEach(async () => {
  if (server === undefined) return;
  const closed = once(server, 'close');
  server.close();
  server.closeAllConnections();
  await closed;
  server = undefined;
});

/** An API that accepts every job for `fast`, and answers each look at its events with `events`. */
async function serve(events: (request: IncomingMessage, response: ServerResponse) => void) {
  server = createServer((request, response) => {
    if (request.method === 'GET') {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      events(request, response);
      return;
    }
    const url = `http://${request.headers.host}/v1/jobs/j1/events`;
    const job = { id: 'j1', tier: 'fast', route: ['default'], urls: { events: url } };
    response.writeHead(202, { 'content-type': 'application/json' }).end(JSON.stringify(job));
  });
  const port = await freePort('127.0.0.1');
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${port}`;
}

function send(response: ServerResponse, id: number, event: string, data: object): void {
  response.write(`id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
}

function startDemo(baseUrl: string) {
  let output = '';
  const write = (text: string) => (output += text);
  const tiers = readConfig({ env: {}, folder: '/' }).tiers.slice(0, 1);
  const screen = createScreen({ stdout: { write }, stderr: { write }, colours: false });
  const { signal } = new AbortController();
  return { done: runDemo({ baseUrl, apiKey: null, tiers, screen, signal }), output: () => output };
}

describe('the demo', () => {
  test('shows the prompt, the tier, the reason, the text as it comes, and the figures', async () => {
    const baseUrl = await serve((_request, response) => {
      send(response, 1, 'queued', { tier: 'fast', route: [], position: 0, estimated_wait_ms: 0 });
      response.write('event: position\ndata: {"position":0}\n\n');
      response.write(': heartbeat\n\n');
      send(response, 2, 'started', { tier: 'fast', worker: 'w', attempt: 1 });
      send(response, 3, 'delta', { text: 'Blue light ' });
      send(response, 4, 'delta', { text: 'is scattered.' });
      send(response, 5, 'completed', COMPLETED);
    });
    const { done, output } = startDemo(baseUrl);
    await done;
    const shown = output()
      .replace(/\d+ ms · 87/, 'N ms · 87')
      .replace(/\d+\.\d s/, 'N s');
    expect(shown).toMatchInlineSnapshot(`
      "
      ── 1 of 1
      prompt  Why is the sky blue? Two sentences, please.
      tier    fast (awq-int4), because: default
      Blue light is scattered.
      queue wait 3 ms · first token N ms · 87 tokens · N s
      "
    `);
  });

  test('goes on with a broken stream from the last event that it saw', async () => {
    const seen: unknown[] = [];
    const baseUrl = await serve((request, response) => {
      seen.push(request.url);
      if (seen.length === 1) {
        send(response, 1, 'delta', { text: 'One, ' });
        setImmediate(() => response.destroy());
        return;
      }
      send(response, 2, 'delta', { text: 'two.' });
      send(response, 3, 'completed', COMPLETED);
    });
    const { done, output } = startDemo(baseUrl);
    await done;
    expect(seen).toEqual(['/v1/jobs/j1/events?after=0', '/v1/jobs/j1/events?after=1']);
    expect(output()).toContain('One, two.\n');
  });

  test('gives up in one line after the second break', async () => {
    const baseUrl = await serve((_request, response) => response.end());
    await expect(startDemo(baseUrl).done).rejects.toThrow(/taken up 1 times in a row/);
  });

  test('says why an answer failed', async () => {
    const baseUrl = await serve((_request, response) => {
      send(response, 1, 'failed', { error: ERROR, usage: null, timings: null });
    });
    await expect(startDemo(baseUrl).done).rejects.toThrow(
      'the answer failed (upstream_error): The engine failed.',
    );
  });
});

test('asks the questions whose tiers exist, and one in any case', () => {
  const [fast, balanced, precise] = DEMO_PROMPTS;
  expect(promptsFor(['fast', 'balanced', 'precise'])).toEqual([fast, balanced, precise]);
  expect(promptsFor(['balanced', 'huge'])).toEqual([balanced]);
  expect(promptsFor(['huge'])).toEqual([fast]);
});

test('shortens a prompt to one line', () => {
  expect(shorten('one\n\n two')).toBe('one two');
  expect(shorten('word '.repeat(50))).toHaveLength(100);
});
