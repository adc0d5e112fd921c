import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { NO_LOAD } from '@qarr/router-core';
import type { TierStatus, WorkerStatus } from '@qarr/router-core';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createTokenizer } from './tokenizer.ts';

const messages = [{ role: 'user' as const, content: 'Hello' }];

/** An engine that answers to `/tokenize`, and what it was asked. */
async function startEngine(answer: string | null) {
  const asked: { path: string | undefined; body: unknown }[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (bytes) => (body += bytes));
    request.on('end', () => {
      asked.push({ path: request.url, body: JSON.parse(body) });
      if (answer !== null) response.end(answer);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { asked, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

function tier(...upstreams: string[]): TierStatus {
  return {
    name: 'fast',
    depth: 0,
    load: NO_LOAD,
    workers: upstreams.map((upstream) => worker({ upstream })),
  };
}

function worker(fields: Partial<WorkerStatus>): WorkerStatus {
  return {
    id: 'w',
    host: 'h',
    pid: 1,
    slots: 1,
    running: 0,
    breaker: 'closed',
    upstream: '',
    model: 'org/model',
    max_model_len: null,
    service_ms: null,
    ...fields,
  };
}

describe('the exact number of tokens', () => {
  it.each(['', '/', '/v1', '/v1/'])(
    "comes from the tier's engine, chat template included (%j)",
    async (path) => {
      const { asked, url } = await startEngine('{"count":42,"max_model_len":8192,"tokens":[]}');
      expect(await createTokenizer({ host: 'h' }).count(tier(url + path), { messages })).toBe(42);
      expect(asked).toEqual([
        {
          path: '/tokenize',
          body: { model: 'org/model', messages, add_generation_prompt: true },
        },
      ]);
    },
  );

  it('is asked for once for the same conversation, and again for another or another tier', async () => {
    const { asked, url } = await startEngine('{"count":42}');
    const tokenizer = createTokenizer({ host: 'h' });
    await tokenizer.count(tier(url), { messages });
    await tokenizer.count(tier(url), { messages: [...messages] });
    expect(asked).toHaveLength(1);
    await tokenizer.count({ ...tier(url), name: 'precise' }, { messages });
    await tokenizer.count(tier(url), {
      messages: [...messages, { role: 'assistant', content: 'Hi' }],
    });
    expect(asked).toHaveLength(3);
  });

  it('is asked for a raw prompt as it is', async () => {
    const { asked, url } = await startEngine('{"count":42}');
    expect(await createTokenizer({ host: 'h' }).count(tier(url), { prompt: 'Hi' })).toBe(42);
    expect(asked).toEqual([{ path: '/tokenize', body: { model: 'org/model', prompt: 'Hi' } }]);
  });

  it('is unknown without a worker', async () => {
    expect(await createTokenizer({ host: 'h' }).count(tier(), { messages })).toBeNull();
  });

  it.each(['Not Found', '{"error":"no"}', '{"count":-1}', '{"count":"42"}'])(
    'is unknown where the engine answers %j, and is asked for again',
    async (answer) => {
      const { asked, url } = await startEngine(answer);
      const tokenizer = createTokenizer({ host: 'h' });
      expect(await tokenizer.count(tier(url), { messages })).toBeNull();
      expect(await tokenizer.count(tier(url), { messages })).toBeNull();
      expect(asked).toHaveLength(2);
    },
  );

  it('is unknown where nobody listens, or nobody answers', async () => {
    const { url } = await startEngine(null);
    expect(
      await createTokenizer({ host: 'h' }).count(tier('http://127.0.0.1:1'), { messages }),
    ).toBeNull();
    expect(await createTokenizer({ host: 'h' }).count(tier(url), { messages })).toBeNull();
  });

  it('is not asked of an engine that is known not to answer', async () => {
    const [broken, good] = [await startEngine('{"count":1}'), await startEngine('{"count":42}')];
    const workers = [
      worker({ upstream: broken.url, breaker: 'open' }),
      worker({ upstream: good.url }),
    ];
    expect(
      await createTokenizer({ host: 'h' }).count(
        { name: 'fast', depth: 0, load: NO_LOAD, workers },
        { messages },
      ),
    ).toBe(42);
    expect(broken.asked).toEqual([]);
  });

  it("is not asked of another host's loopback address, which is somebody else here", async () => {
    const { asked, url } = await startEngine('{"count":42}');
    const elsewhere = createTokenizer({ host: 'another' });
    expect(await elsewhere.count(tier(url), { messages })).toBeNull();
    expect(asked).toEqual([]);
  });
});
