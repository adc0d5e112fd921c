import type { ServerResponse } from 'node:http';
import * as fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { NO_CAPABILITIES } from '../capabilities.ts';
import { DONE, delta, event, startHostileEngine } from '../hostile-engine-for-test.ts';
import { createExchanges } from './exchange.ts';
import { startSimulator } from './simulator-for-test.ts';
import { warmUp } from './warm-up.ts';

interface Body {
  readonly messages?: readonly { content: string }[];
  readonly stream_options?: Record<string, boolean>;
  readonly return_token_ids?: boolean;
  readonly continue_final_message?: boolean;
  readonly add_generation_prompt?: boolean;
}

const ALL = {
  countsAtTheEnd: true,
  countsContinuously: true,
  tokenIds: true,
  continuesText: true,
  echoesContinued: false,
  tokenizes: true,
};
const WHOLE = delta({ content: 'x' }, 'length') + DONE;

function warm(
  baseUrl: string,
  {
    version = null,
    requests = 1,
    isCareful = false,
    failures = [],
  }: {
    version?: string | null;
    requests?: number;
    isCareful?: boolean;
    failures?: string[];
  } = {},
) {
  const exchanges = createExchanges({ baseUrl, apiKey: undefined, connectMs: 10_000 });
  onTestFinished(() => exchanges.stop());
  const { signal } = new AbortController();
  return warmUp(exchanges, {
    version,
    requests,
    isCareful,
    onFailure: (cause) => void failures.push(cause),
    model: 'qarr-sim',
    signal,
  });
}

/** An engine of this version that refuses what is in no list of its own. */
async function learnt(
  version: string | null,
  answer: (body: Body, response: ServerResponse, path: string) => string | number,
) {
  const engine = await startHostileEngine(({ request, response, body }) => {
    const answered = answer(JSON.parse(body) as Body, response, request.url ?? '');
    if (typeof answered === 'number') response.writeHead(answered).end();
    else response.writeHead(200).end(answered);
  });
  const warmed = await warm(engine.url, { version });
  if (warmed.kind !== 'warmed') throw new Error(warmed.cause);
  const asked = engine.requests.map(({ body }) => JSON.parse(body) as Body);
  return { capabilities: warmed.capabilities, asked };
}

/** Of an engine that counts as it goes. */
const COUNTED = event({
  choices: [{ delta: { content: 'x' }, finish_reason: 'length' }],
  usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
});

describe('what an engine can do', () => {
  it('is all of it for the simulator of vLLM', async () => {
    const { url } = await startSimulator();
    expect(await warm(url, { version: '0.28.0' })).toEqual({
      kind: 'warmed',
      capabilities: ALL,
      // One request may be the slow first.
      tokenMs: null,
    });
  });

  it('is the plain protocol for an engine of another kind, which is asked for no more', async () => {
    const { capabilities, asked } = await learnt(null, () => WHOLE);
    expect(capabilities).toEqual(NO_CAPABILITIES);
    expect(asked).toEqual([
      {
        model: 'qarr-sim',
        messages: [{ role: 'user', content: 'Hi' }],
        max_tokens: 1,
        temperature: 0,
        stream: true,
        stream_options: { include_usage: true },
      },
    ]);
  });

  it('is not believed of an engine that ignores what it does not know', async () => {
    const tokens = JSON.stringify({ tokens: [1], count: 1 });
    const { capabilities } = await learnt('0.28.0', (_body, _response, path) =>
      path.startsWith('/v1') ? WHOLE : tokens,
    );
    expect(capabilities).toEqual({ ...NO_CAPABILITIES, tokenizes: true });
  });

  it.each([
    ['return_token_ids', (body: Body) => body.return_token_ids === true, ['countsContinuously']],
    [
      'continuous_usage_stats',
      (body: Body) => body.stream_options?.['continuous_usage_stats'] === true,
      [],
    ],
    ['stream_options', (body: Body) => body.stream_options !== undefined, null],
  ])('steps down before an engine that refuses %s', async (_name, isRefused, counts) => {
    for (const status of [400, 422]) {
      const { capabilities } = await learnt('0.28.0', (body, _response, path) => {
        if (path !== '/v1/chat/completions') return 404;
        if (body.continue_final_message === true || isRefused(body)) return status;
        return body.stream_options?.['continuous_usage_stats'] === true ? COUNTED : WHOLE;
      });
      expect(capabilities).toEqual({
        ...NO_CAPABILITIES,
        countsAtTheEnd: counts !== null,
        countsContinuously: counts?.includes('countsContinuously') ?? false,
      });
    }
  });

  it('is not asked of a version that refuses fields which it does not know', async () => {
    const { asked } = await learnt('0.6.4', () => WHOLE);
    expect(asked.some((body) => 'return_token_ids' in body)).toBe(false);
    expect(asked[0]?.stream_options).toEqual({ include_usage: true, continuous_usage_stats: true });
  });

  it.each(['0.1.dev1234+gabcdef', 'nightly', '0.10.2', '0.11.0rc1', 'v1.0.0'])(
    'is asked for as a whole of version %s',
    async (version) => {
      const { asked } = await learnt(version, () => WHOLE);
      expect(asked[0]?.return_token_ids).toBe(true);
    },
  );

  it('knows an engine that repeats the text which it continues', async () => {
    const { capabilities } = await learnt('0.6.4', (body, _response, path) => {
      if (path !== '/v1/chat/completions') return 404;
      if (body.continue_final_message !== true) return WHOLE;
      if (body.add_generation_prompt === true) return 400;
      const begun = body.messages?.at(-1)?.content ?? '';
      return delta({ role: 'assistant', content: '' }) + delta({ content: begun }) + WHOLE;
    });
    expect(capabilities).toMatchObject({ continuesText: true, echoesContinued: true });
  });

  it('has no token ids where they are not what is counted', async () => {
    for (const [completion_tokens, tokenIds] of [
      [1, true],
      [2, false],
    ] as const) {
      const { capabilities } = await learnt('0.28.0', () =>
        event({
          prompt_token_ids: [1, 2],
          choices: [{ delta: { content: 'x' }, finish_reason: 'length', token_ids: [3] }],
          usage: { prompt_tokens: 2, completion_tokens, total_tokens: 2 + completion_tokens },
        }),
      );
      expect(capabilities).toMatchObject({ tokenIds, countsContinuously: true });
    }
  });

  it('is asked for again where it could not be found out by chance', async () => {
    let asked = 0;
    const { capabilities } = await learnt('0.28.0', (_body, _response, path) => {
      if (path !== '/tokenize' && path !== '/detokenize') return WHOLE;
      asked += 1;
      return asked === 1 ? 500 : JSON.stringify({ tokens: [1] });
    });
    expect(capabilities.tokenizes).toBe(true);
  });

  it('has no token ids where none may be a prompt', async () => {
    const withIds = event({
      prompt_token_ids: [1, 2],
      choices: [{ delta: { content: 'x' }, finish_reason: 'length', token_ids: [3] }],
    });
    for (const [status, tokenIds] of [
      [404, false],
      [200, true],
    ] as const) {
      const { capabilities, asked } = await learnt('0.28.0', (body, _response, path) => {
        if (path === '/v1/completions') return status === 200 ? WHOLE : status;
        return body.continue_final_message === true ? 400 : withIds;
      });
      expect(capabilities.tokenIds).toBe(tokenIds);
      expect(asked).toContainEqual(expect.objectContaining({ prompt: [1, 2, 3] }));
    }
  });
});

describe('the warm-up', () => {
  it('sends so many small requests, and few at once', async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(1, 2, 5, 6, 25), async (requests) => {
        let open = 0;
        let most = 0;
        const engine = await startHostileEngine(({ response }) => {
          open += 1;
          most = Math.max(most, open);
          // Long enough for others to come meanwhile, if they do.
          setTimeout(() => {
            open -= 1;
            response.writeHead(200).end(WHOLE);
          }, 10);
        });
        await warm(engine.url, { requests });
        expect(engine.requests).toHaveLength(requests);
        expect(most).toBe(Math.max(1, Math.min(4, requests - 1)));
        await engine.stop();
      }),
      { numRuns: 5 },
    );
  });

  it('sends none where none is wanted, and believes little', async () => {
    const engine = await startHostileEngine(() => {});
    const modern = await warm(engine.url, { requests: 0, version: '0.28.0' });
    expect(modern).toMatchObject({
      capabilities: { ...NO_CAPABILITIES, tokenizes: true },
    });
    const foreign = await warm(engine.url, { requests: 0 });
    expect(foreign).toMatchObject({ capabilities: NO_CAPABILITIES });
    expect(engine.requests).toEqual([]);
  });

  it('bears a request that fails now and then', async () => {
    let count = 0;
    const engine = await startHostileEngine(({ response }) => {
      count += 1;
      if (count % 3 === 1) response.writeHead(500).end();
      else response.writeHead(200).end(WHOLE);
    });
    expect(await warm(engine.url, { requests: 20 })).toMatchObject({ kind: 'warmed' });
  });

  it.each<[string, (response: ServerResponse) => unknown, string]>([
    ['refuses', (response) => response.writeHead(400).end(), 'refused with 400'],
    ['has another model', (response) => response.writeHead(404).end(), 'status 404'],
    ['wants a key', (response) => response.writeHead(401).end(), 'status 401'],
    [
      'is shutting down',
      (response) => response.end(delta({}, 'abort') + DONE),
      'no legal finish reason',
    ],
    ['says nothing', (response) => response.end(DONE), 'no legal finish reason'],
    [
      'reports an error',
      (response) => response.end(event({ error: { message: 'x' } }) + WHOLE),
      'an answer that is no chat',
    ],
    ['sends HTML', (response) => response.end('<html>'), 'no legal finish reason'],
    ['sends no JSON', (response) => response.end(event('{') + WHOLE), 'an answer that is no chat'],
  ])('fails with an engine that %s', async (_name, answer, cause) => {
    const engine = await startHostileEngine(({ response }) => answer(response));
    const failures: string[] = [];
    expect(await warm(engine.url, { requests: 20, failures })).toEqual({ kind: 'failed', cause });
    expect(failures.slice(0, 3)).toEqual([cause, cause, cause]);
    expect(engine.requests.length).toBeLessThan(20);
  });

  it.each([
    ['has no time', 429],
    ['loads', 503],
  ])('says so of an engine that %s', async (_name, status) => {
    const engine = await startHostileEngine(({ response }) => response.writeHead(status).end());
    const warmed = await warm(engine.url, { requests: 20 });
    expect(warmed).toEqual({ kind: 'busy', cause: `status ${status}` });
  });

  it.each([
    [true, 1],
    [false, 4],
  ])('asks for one token at a time where it is careful: %s', async (isCareful, most) => {
    let [underWay, mostAtOnce] = [0, 0];
    const engine = await startHostileEngine(({ response }) => {
      underWay += 1;
      mostAtOnce = Math.max(mostAtOnce, underWay);
      setTimeout(() => {
        underWay -= 1;
        response.writeHead(200).end(WHOLE);
      }, 5);
    });
    await warm(engine.url, { version: '0.28.0', requests: 9, isCareful });
    expect(mostAtOnce).toBe(most);
  });

  it('finds nobody', async () => {
    const engine = await startHostileEngine(() => {});
    await engine.stop();
    expect(await warm(engine.url)).toEqual({ kind: 'unreachable', cause: 'ECONNREFUSED' });
  });

  it('needs no end of a response after its last event', async () => {
    const engine = await startHostileEngine(({ response }) => response.writeHead(200).write(WHOLE));
    expect(await warm(engine.url, { requests: 2 })).toMatchObject({ kind: 'warmed' });
  });

  it('tells how long a token takes at best', async () => {
    const delaysMs = [0, 400, 20, 400];
    const engine = await startHostileEngine(({ response }) => {
      setTimeout(() => response.writeHead(200).end(WHOLE), delaysMs.shift());
    });
    const warmed = await warm(engine.url, { requests: 4 });
    expect(warmed).toMatchObject({ tokenMs: expect.any(Number) as number });
    const tokenMs = warmed.kind === 'warmed' ? warmed.tokenMs : null;
    // A timer may be a moment early.
    expect(tokenMs).toBeGreaterThan(18);
    expect(tokenMs).toBeLessThan(399);
  });
});
