import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, Server } from 'node:http';
import { afterEach, describe, expect, test } from 'vitest';
import { freePort } from '../processes/ports.ts';
import { modelsUrl, requireGivenEngines } from './given-engine.ts';

const { signal } = new AbortController();
let server: Server | undefined;

afterEach(async () => {
  if (server === undefined) return;
  const closed = once(server, 'close');
  server.close();
  server.closeAllConnections();
  await closed;
  server = undefined;
});

describe('requireGivenEngines', () => {
  test('takes any answer, and shows its key', async () => {
    const asked: IncomingMessage[] = [];
    server = createServer((request, response) => {
      asked.push(request);
      response.writeHead(503).end();
    });
    const port = await freePort('127.0.0.1');
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    const url = `http://127.0.0.1:${port}/v1`;
    const down = `http://127.0.0.1:${await freePort('127.0.0.1')}`;
    const given = { source: 'QARR_FAST_URL', apiKey: 'secret', signal };
    expect(await requireGivenEngines({ urls: [url], ...given })).toEqual([]);
    expect(await requireGivenEngines({ urls: [down, url], ...given })).toEqual([
      expect.stringContaining(`the engine at ${down} is down`),
    ]);
    expect(asked.map(({ url: path, headers }) => [path, headers.authorization])).toEqual([
      ['/v1/models', 'Bearer secret'],
      ['/v1/models', 'Bearer secret'],
    ]);
  });

  test('says which variable to correct when nothing answers', async () => {
    const url = `http://127.0.0.1:${await freePort('127.0.0.1')}`;
    const asked = requireGivenEngines({
      urls: [url],
      source: 'QARR_FAST_URL',
      apiKey: null,
      signal,
    });
    await expect(asked).rejects.toThrow(/is down \(connect ECONNREFUSED.*correct QARR_FAST_URL/);
  });
});

test('the path of an engine is found with and without a final /v1', () => {
  expect(modelsUrl('http://gpu:8000')).toBe('http://gpu:8000/v1/models');
  expect(modelsUrl('http://gpu:8000/v1/')).toBe('http://gpu:8000/v1/models');
  expect(modelsUrl('http://gpu/llm/v1')).toBe('http://gpu/llm/v1/models');
});
