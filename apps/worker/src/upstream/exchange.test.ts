import type { ServerResponse } from 'node:http';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { startHostileEngine } from '../hostile-engine-for-test.ts';
import { createExchanges } from './exchange.ts';
import type { Exchange, ExchangeOptions } from './exchange.ts';

const PATIENCE = { timeout: 10_000, interval: 5 };
const SHORT_MS = 60;
const SECRET = 'a word of the prompt';

function exchangesAt(baseUrl: string) {
  const exchanges = createExchanges({ baseUrl, apiKey: 'key', connectMs: 10_000 });
  onTestFinished(() => exchanges.stop());
  return exchanges;
}

function send(baseUrl: string, options: Partial<ExchangeOptions> = {}): Promise<Exchange> {
  return exchangesAt(baseUrl).send('/v1/models', {
    timeoutMs: 60_000,
    bytesMax: 1_000,
    signal: new AbortController().signal,
    ...options,
  });
}

const hanging = () => startHostileEngine(() => {});
const answering = (answer: (response: ServerResponse) => unknown) =>
  startHostileEngine(({ response }) => answer(response));

describe('one small request', () => {
  it('is a GET, or a POST of JSON, with the key', async () => {
    const engine = await answering((response) => response.writeHead(201).end('Hällo'));
    expect(await send(engine.url)).toEqual({ kind: 'answer', status: 201, text: 'Hällo' });
    await send(`${engine.url}/gateway`, { body: { a: 1 } });
    expect(engine.requests).toMatchObject([
      { path: '/v1/models', body: '', headers: { authorization: 'Bearer key' } },
      {
        path: '/gateway/v1/models',
        body: '{"a":1}',
        headers: { authorization: 'Bearer key', 'content-type': 'application/json' },
      },
    ]);
  });

  it('does not follow to where the key is not meant for', async () => {
    const other = await hanging();
    const engine = await answering((response) =>
      response.writeHead(307, { location: other.url }).end(),
    );
    expect(await send(engine.url)).toMatchObject({ kind: 'answer', status: 307 });
    expect(other.requests).toEqual([]);
  });

  it('finds nobody', async () => {
    const engine = await hanging();
    await engine.stop();
    expect(await send(engine.url)).toEqual({ kind: 'unreachable', cause: 'ECONNREFUSED' });
  });

  it('gives up on an engine that hangs, before its headers or after, and lets it go', async () => {
    const silent = await hanging();
    const half = await answering((response) => response.writeHead(200).write('{'));
    for (const engine of [silent, half]) {
      expect(await send(engine.url, { timeoutMs: SHORT_MS })).toEqual({
        kind: 'broken',
        cause: 'timeout',
      });
      await vi.waitFor(() => expect(engine.openConnections).toBe(0), PATIENCE);
    }
  });

  it('ends with its signal, and does not begin after it', async () => {
    const engine = await hanging();
    const stopping = new AbortController();
    const sent = send(engine.url, { signal: stopping.signal });
    await vi.waitFor(() => expect(engine.requests).toHaveLength(1), PATIENCE);
    stopping.abort();
    expect(await sent).toEqual({ kind: 'broken', cause: 'stopped' });
    expect(await send(engine.url, { signal: stopping.signal })).toMatchObject({ kind: 'broken' });
    expect(engine.requests).toHaveLength(1);
  });

  it('reads no more than it may', async () => {
    const engine = await answering((response) => {
      const more = () => {
        while (response.write('x'.repeat(1_000)));
      };
      response.writeHead(200).on('drain', more);
      more();
    });
    expect(await send(engine.url)).toEqual({ kind: 'broken', cause: 'too large' });
    await vi.waitFor(() => expect(engine.openConnections).toBe(0), PATIENCE);
  });

  it('needs no end where it knows that nothing comes any more', async () => {
    const engine = await answering((response) => response.writeHead(200).write('all of it'));
    const exchange = await send(engine.url, { isComplete: (text) => text.endsWith('it') });
    expect(exchange).toMatchObject({ text: 'all of it' });
  });

  it('says what broke without what was sent or answered', async () => {
    const engine = await answering((response) => {
      response.writeHead(200).write(SECRET);
      setImmediate(() => response.socket?.destroy());
    });
    const exchange = await send(engine.url, { body: { prompt: SECRET } });
    expect(exchange).toMatchObject({ kind: 'broken' });
    expect(JSON.stringify(exchange)).not.toContain(SECRET);
  });
});
