import type { ServerResponse } from 'node:http';
import { describe as group, expect, it, onTestFinished } from 'vitest';
import { startHostileEngine } from '../hostile-engine-for-test.ts';
import { describe, identify } from './describe.ts';
import type { Described, Description } from './describe.ts';
import { createExchanges } from './exchange.ts';

type Reply = (response: ServerResponse) => unknown;

const json =
  (body: unknown, status = 200): Reply =>
  (response) =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
const VERSION = json({ version: '0.28.0' });
const MODELS = json({ object: 'list', data: [{ id: 'm', max_model_len: 2_048 }, { id: 'other' }] });

const breaking: Reply = (response) => {
  response.writeHead(200).write('{"data":');
  setImmediate(() => response.socket?.destroy());
};
const identified = (model: string | null, maxModelLen: number | null) => ({
  kind: 'identified',
  identity: { version: null, model, maxModelLen },
});

function ask(baseUrl: string): Promise<Described> {
  const exchanges = createExchanges({ baseUrl, apiKey: 'key', connectMs: 10_000 });
  onTestFinished(() => exchanges.stop());
  return describe(exchanges, { signal: new AbortController().signal });
}

async function described({ models, version }: { models: Reply; version: Reply }) {
  const server = await startHostileEngine(({ request, response }) =>
    request.url === '/v1/models' ? models(response) : version(response),
  );
  return ask(server.url);
}

group('an engine describes itself', () => {
  it('by its models and its version', async () => {
    expect(await described({ models: MODELS, version: VERSION })).toEqual({
      kind: 'described',
      description: {
        version: '0.28.0',
        models: [
          { id: 'm', maxModelLen: 2_048 },
          { id: 'other', maxModelLen: null },
        ],
      },
    });
  });

  it.each<[string, Reply]>([
    ['an error', json({ error: 'Unauthorized' }, 401)],
    ['an error in the form of an answer', json({ version: '1', data: [{ id: 'm' }] }, 500)],
    ['HTML', (response) => response.writeHead(200).end('<html>')],
    ['nothing', (response) => response.writeHead(204).end()],
    ['another shape', json([])],
    ['no model', json({ data: [] })],
  ])('by being there, when it answers with %s', async (_name, reply) => {
    expect(await described({ models: reply, version: reply })).toEqual({
      kind: 'described',
      description: { version: null, models: [] },
    });
  });

  it.each([502, 503, 504])('not yet, when it answers with %s', async (status) => {
    const loading = json({ error: 'Loading model' }, status);
    expect(await described({ models: loading, version: VERSION })).toEqual({
      kind: 'failed',
      cause: `status ${status}`,
    });
  });

  it('not at all when nobody listens', async () => {
    const server = await startHostileEngine(() => {});
    await server.stop();
    expect(await ask(server.url)).toEqual({ kind: 'unreachable', cause: 'ECONNREFUSED' });
  });

  it('not at all when it breaks off', async () => {
    expect(await described({ models: breaking, version: VERSION })).toMatchObject({
      kind: 'failed',
    });
  });
});

group('its model', () => {
  const description: Description = {
    version: null,
    models: [
      { id: 'a', maxModelLen: 1 },
      { id: 'b', maxModelLen: 2 },
    ],
  };
  it('is the first where none is expected', () => {
    expect(identify(description, null)).toEqual(identified('a', 1));
  });

  it('is the expected one, wherever it stands', () => {
    expect(identify(description, 'b')).toEqual(identified('b', 2));
  });

  it('is another one where the expected one is missing', () => {
    expect(identify(description, 'c')).toEqual({ kind: 'other model', cause: 'serves a, not c' });
  });

  it('is not known where the engine does not say', () => {
    for (const expected of ['c', null]) {
      expect(identify({ version: null, models: [] }, expected)).toEqual(identified(null, null));
    }
  });
});
