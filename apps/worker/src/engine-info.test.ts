import type { ServerResponse } from 'node:http';
import { describe, expect, it } from 'vitest';
import { describeEngine } from './engine-info.ts';
import { startHostileEngine } from './hostile-engine-for-test.ts';

type Reply = (response: ServerResponse) => unknown;

const json =
  (body: unknown, status = 200): Reply =>
  (response) =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));

/** Describes an engine that answers so. */
async function describeOne({ models, version }: { models: Reply; version: Reply }) {
  const server = await startHostileEngine(({ request, response }) => {
    if (request.url === '/v1/models') return models(response);
    return version(response);
  });
  return describeEngine({ baseUrl: server.url, apiKey: undefined });
}

const VERSION = json({ version: '0.28.0' });
const MODELS = json({ object: 'list', data: [{ id: 'm', max_model_len: 2_048 }, { id: 'other' }] });
const UNKNOWN = { model: null, maxModelLen: null, countsContinuously: false };

describe('an engine describes itself', () => {
  it('by its first model and its version', async () => {
    const info = await describeOne({ models: MODELS, version: VERSION });
    expect(info).toEqual({ model: 'm', maxModelLen: 2_048, countsContinuously: true });
  });

  it('without what others have and it has not', async () => {
    const models = json({ data: [{ id: 'm' }] });
    const info = await describeOne({ models, version: json({ error: 'Not Found' }, 404) });
    expect(info).toEqual({ model: 'm', maxModelLen: null, countsContinuously: false });
  });

  it.each<[string, Reply]>([
    ['an error', json({ error: 'Unauthorized' }, 401)],
    ['overload', json({ error: 'loading' }, 503)],
    ['an error in the form of an answer', json({ version: '1', data: [{ id: 'm' }] }, 500)],
    ['HTML', (response) => response.writeHead(200).end('<html>')],
    ['nothing', (response) => response.writeHead(204).end()],
    ['another shape', json([])],
    ['no model', json({ data: [] })],
  ])('by being there, when it answers with %s', async (_name, reply) => {
    expect(await describeOne({ models: reply, version: reply })).toEqual(UNKNOWN);
  });

  it('only to those who have its key', async () => {
    const server = await startHostileEngine(({ response }) => MODELS(response));
    await describeEngine({ baseUrl: server.url, apiKey: 'key' });
    const keys = server.requests.map(({ headers }) => headers.authorization);
    expect(keys).toEqual(['Bearer key', 'Bearer key']);
  });

  it('not at all when nobody listens', async () => {
    const server = await startHostileEngine(() => {});
    await server.stop();
    await expect(describeEngine({ baseUrl: server.url, apiKey: undefined })).rejects.toThrow(
      'fetch failed',
    );
  });

  it('not at all when it breaks off', async () => {
    const server = await startHostileEngine(({ response }) => {
      response.writeHead(200).write('{"data":');
      setImmediate(() => response.socket?.destroy());
    });
    const description = describeEngine({ baseUrl: server.url, apiKey: undefined });
    await expect(description).rejects.toThrow('terminated');
  });
});
