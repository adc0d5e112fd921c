import type { SoFar } from '@qarr/job-store';
import type { ChatEngineRequest, EngineRequest, RawEngineRequest } from '@qarr/router-core';
import { describe, expect, it } from 'vitest';
import type { Capabilities } from './capabilities.ts';
import { isContinuable } from './continuation.ts';
import {
  RAW_REQUEST,
  REQUEST,
  engineAt,
  failedWith,
  finished,
  start,
} from './engine-trial-for-test.ts';
import { DONE, event, startHostileEngine } from './hostile-engine-for-test.ts';

/** Prompt ids 1 to 3; a token is a letter, and its id the letter's code. */
const PROMPT_IDS = [1, 2, 3];
const ids = (text: string): number[] => Array.from(text, (letter) => letter.codePointAt(0) ?? 0);

const BY_IDS: Partial<Capabilities> = {
  countsContinuously: true,
  tokenIds: true,
  tokenizes: true,
  continuesText: true,
};
const BY_TEXT = { ...BY_IDS, tokenIds: false };

function soFarOf(text: string, details: Partial<SoFar> = {}): SoFar {
  return { text, tokenIds: ids(text), hasMore: false, continued: 1, ...details };
}

/** What stands behind the raw prompt. */
const rest = (prompt: string) => prompt.slice(RAW_REQUEST.prompt.length);

/** An engine that goes on with these texts, one request after the other. */
async function carryOn({
  says = ['.'],
  request = REQUEST,
  soFar,
  capabilities = BY_IDS,
  replies = {},
}: {
  says?: readonly string[];
  request?: EngineRequest;
  soFar: SoFar;
  capabilities?: Partial<Capabilities>;
  /** Instead of what a good engine says at these paths: a status and a body. */
  replies?: Record<string, [status: number, body: object | string] | (() => object)>;
}) {
  const left = [...says];
  const server = await startHostileEngine(({ request: { url = '' }, response, body }) => {
    const asked = JSON.parse(body) as {
      tokens?: number[];
      messages?: { role: string; content: string }[];
      prompt?: string;
      continue_final_message?: boolean;
    };
    const other = replies[url];
    if (typeof other === 'function') {
      response.end(JSON.stringify(other()));
    } else if (other !== undefined) {
      response
        .writeHead(other[0])
        .end(typeof other[1] === 'string' ? other[1] : JSON.stringify(other[1]));
    } else if (url === '/tokenize') {
      const { prompt = '', messages: turns } = asked;
      const open = asked.continue_final_message === true ? turns?.at(-1)?.content : rest(prompt);
      response.end(JSON.stringify({ tokens: [...PROMPT_IDS, ...ids(open ?? '')] }));
    } else if (url === '/detokenize') {
      response.end(JSON.stringify({ prompt: String.fromCodePoint(...(asked.tokens ?? [])) }));
    } else {
      response.end(`${answerOf(left.shift() ?? '', url)}${DONE}`);
    }
  });
  const run = start(engineAt(server.url), { request, soFar, capabilities });
  const outcome = await finished(run);
  const requests = server.requests.map(({ path, body }) => ({
    path,
    body: JSON.parse(body) as Record<string, unknown>,
  }));
  const generated = requests.filter(({ path }) => path.startsWith('/v1/'));
  return { ...outcome, requests, generated };
}

/** One chunk per letter, and the end. */
function answerOf(text: string, path: string): string {
  const chunk = (letter: string, finish: string | null, usage: object = {}) =>
    event({
      choices: [
        path === '/v1/completions'
          ? { index: 0, text: letter, token_ids: ids(letter), finish_reason: finish }
          : { index: 0, delta: { content: letter }, token_ids: ids(letter), finish_reason: finish },
      ],
      ...usage,
    });
  const made = Array.from(text).length;
  const usage = { prompt_tokens: 8, completion_tokens: made, total_tokens: 8 + made };
  return `${Array.from(text, (letter) => chunk(letter, null)).join('')}${chunk('', 'stop', { usage })}`;
}

describe('an answer is carried on by ids', () => {
  it('from the prompt and what was made, with what is left of the limits', async () => {
    const request = { ...REQUEST, min_tokens: 7, top_k: 5, seed: 9, stop: ['END'] };
    const { text, ending, usage, generated } = await carryOn({
      request,
      soFar: soFarOf('Hello'),
      says: [', you'],
    });
    expect(text).toBe(', you');
    expect(ending).toEqual({ kind: 'whole', finishReasons: ['stop'] });
    expect(generated).toEqual([
      {
        path: '/v1/completions',
        body: {
          model: 'served-model',
          prompt: [...PROMPT_IDS, ...ids('Hello')],
          max_tokens: REQUEST.max_tokens - 5,
          min_tokens: 2,
          temperature: REQUEST.temperature,
          top_k: 5,
          seed: 9,
          stop: ['END'],
          stream: true,
          stream_options: { include_usage: true, continuous_usage_stats: true },
          return_token_ids: true,
        },
      },
    ]);
    // Of the whole answer: the engine counts what was made before as prompt.
    expect(usage).toEqual({ prompt_tokens: 3, completion_tokens: 10, total_tokens: 13 });
  });

  it('after what the former engine had made and held back', async () => {
    const { text } = await carryOn({
      soFar: soFarOf('Hel', { tokenIds: ids('Hello') }),
      says: ['!'],
    });
    expect(text).toBe('lo!');
  });

  it('up to a stop string that two engines made together', async () => {
    const request = { ...REQUEST, stop: ['lot'] };
    const soFar = soFarOf('Hel', { tokenIds: ids('Hello') });
    const { text, ending } = await carryOn({ request, soFar, says: ['tal'] });
    expect(text).toBe('');
    expect(ending).toEqual({ kind: 'whole', finishReasons: ['stop'] });
  });

  it('to nothing when its limit was used up', async () => {
    const soFar = soFarOf('x'.repeat(14), { tokenIds: ids('x'.repeat(REQUEST.max_tokens)) });
    const { text, ending, usage, generated } = await carryOn({ soFar });
    expect(text).toBe('xx');
    expect(ending).toEqual({ kind: 'whole', finishReasons: ['length'] });
    expect(usage).toEqual({ prompt_tokens: 3, completion_tokens: 16, total_tokens: 19 });
    expect(generated).toEqual([]);
  });

  it('though a character was cut in the middle', async () => {
    const replies = { '/detokenize': [200, { prompt: 'Hé\uFFFD' }] as [number, object] };
    const soFar = soFarOf('H', { tokenIds: [72, 233, 240] });
    expect((await carryOn({ soFar, replies, says: ['!'] })).text).toBe('é!');
  });
});

describe('an answer is carried on by text', () => {
  it.each([
    ['the engine knows no ids', { capabilities: BY_TEXT }],
    ['an engine before it knew none', { soFar: soFarOf('Hello there', { tokenIds: null }) }],
    [
      'the ids are those of another text',
      { soFar: soFarOf('Hello there', { tokenIds: ids('Bye') }) },
    ],
  ])('where %s, and says its last word again', async (_name, given) => {
    const { text, generated, usage } = await carryOn({
      soFar: soFarOf('Hello there'),
      says: [' there, you'],
      ...given,
    });
    expect(text).toBe(', you');
    expect(generated).toMatchObject([
      {
        path: '/v1/chat/completions',
        body: {
          messages: [...REQUEST.messages, { role: 'assistant', content: 'Hello' }],
          continue_final_message: true,
          add_generation_prompt: false,
          max_tokens: REQUEST.max_tokens - 5,
        },
      },
    ]);
    expect(usage).toEqual({ prompt_tokens: 3, completion_tokens: 16, total_tokens: 19 });
  });

  it('from its beginning where there is no whole word yet', async () => {
    const { text, generated } = await carryOn({
      soFar: soFarOf('Hel'),
      says: ['Hello'],
      capabilities: BY_TEXT,
    });
    expect(text).toBe('lo');
    expect(generated[0]?.body).not.toHaveProperty('continue_final_message');
    expect(generated[0]?.body).toMatchObject({ messages: REQUEST.messages, max_tokens: 16 });
  });

  it('without the echo of some engines', async () => {
    const replies = {
      '/v1/chat/completions': [
        200,
        [
          event({ choices: [{ delta: { role: 'assistant', content: '' } }] }),
          event({ choices: [{ delta: { content: 'Hello' } }] }),
          event({ choices: [{ delta: { content: ' there, you' } }] }),
          event({ choices: [{ delta: {}, finish_reason: 'stop' }] }),
          DONE,
        ].join(''),
      ] as [number, string],
    };
    const capabilities = { ...BY_TEXT, echoesContinued: true };
    const { text } = await carryOn({ soFar: soFarOf('Hello there'), capabilities, replies });
    expect(text).toBe(', you');
  });
});

/** What the tokenizer was asked. */
const tokenized = (requests: readonly { path: string; body: Record<string, unknown> }[]) =>
  requests.filter(({ path }) => path === '/tokenize').map(({ body }) => body);

describe('the answer to a raw prompt is carried on', () => {
  it('by ids, from those of the prompt as it is', async () => {
    const { text, generated, requests, usage } = await carryOn({
      request: { ...RAW_REQUEST, min_tokens: 7, seed: 9 },
      soFar: soFarOf('Hello'),
      says: [', you'],
    });
    expect(text).toBe(', you');
    expect(tokenized(requests)).toEqual([{ model: 'served-model', prompt: RAW_REQUEST.prompt }]);
    expect(generated).toEqual([
      {
        path: '/v1/completions',
        body: {
          model: 'served-model',
          prompt: [...PROMPT_IDS, ...ids('Hello')],
          max_tokens: 11,
          min_tokens: 2,
          temperature: 0.7,
          seed: 9,
          stream: true,
          stream_options: { include_usage: true, continuous_usage_stats: true },
          return_token_ids: true,
        },
      },
    ]);
    expect(usage).toEqual({ prompt_tokens: 3, completion_tokens: 10, total_tokens: 13 });
  });

  it.each([
    ['Hello there', ' there, you', 'Hello', 11],
    ['Hel', 'Hello', '', 16],
  ])('by text, joined to the prompt: %s', async (before, says, joined, left) => {
    const { text, generated, requests } = await carryOn({
      request: RAW_REQUEST,
      soFar: soFarOf(before, { tokenIds: null }),
      says: [says],
      // It knows nothing of open messages, and needs not.
      capabilities: { ...BY_TEXT, continuesText: false, echoesContinued: true },
    });
    expect(text).toBe(says.slice(before.length - joined.length));
    const prompt = RAW_REQUEST.prompt + joined;
    expect(tokenized(requests).at(-1)).toEqual({ model: 'served-model', prompt });
    expect(generated).toMatchObject([
      { path: '/v1/completions', body: { prompt, max_tokens: left, temperature: 0.7 } },
    ]);
  });

  it('without an echo: what it says at first is its own', async () => {
    const { text, ending } = await carryOn({
      request: RAW_REQUEST,
      soFar: soFarOf('a b', { tokenIds: null }),
      says: ['a b'],
      capabilities: { ...BY_TEXT, echoesContinued: true },
    });
    expect(text).toBe('');
    expect(ending).toEqual(failedWith({ code: 'upstream_interrupted', retryable: true }));
  });

  it('with all that is left where the prompt and the answer make fewer tokens together', async () => {
    let counted = 0;
    const { ending, generated } = await carryOn({
      request: RAW_REQUEST,
      soFar: soFarOf('Hello there', { tokenIds: null }),
      says: [' there'],
      replies: { '/tokenize': () => ({ tokens: Array(counted++ === 0 ? 5 : 4).fill(1) }) },
    });
    expect(ending).toMatchObject({ kind: 'whole' });
    expect(generated[0]?.body).toMatchObject({ max_tokens: 16 });
  });

  it.each<Partial<RawEngineRequest>>([{ n: 2 }, { logprobs: 0 }])(
    'but not with %j, nor where nobody tells the tokens',
    async (fields) => {
      expect(isContinuable({ ...RAW_REQUEST, ...fields })).toBe(false);
      const blind = { ...BY_TEXT, tokenizes: false };
      for (const [request, capabilities] of [
        [{ ...RAW_REQUEST, ...fields }, BY_IDS],
        [RAW_REQUEST, blind],
      ] as const) {
        const run = await carryOn({ request, soFar: soFarOf('Hello'), capabilities });
        expect(run.ending).toEqual(failedWith({ code: 'upstream_interrupted', retryable: false }));
        expect(run.requests).toEqual([]);
      }
    },
  );
});

describe('an answer is not carried on', () => {
  const interrupted = failedWith({
    code: 'upstream_interrupted',
    retryable: false,
    engine: 'fine',
  });

  it.each<[string, Partial<ChatEngineRequest>]>([
    ['tools', { tools: [{ type: 'function', function: { name: 'f' } }] }],
    ['structured output', { response_format: { type: 'json_object' } }],
    ['log probabilities', { logprobs: true }],
    ['several choices', { n: 2 }],
  ])('that has %s', async (_name, fields) => {
    const request = { ...REQUEST, ...fields };
    expect(isContinuable(request)).toBe(false);
    const { ending, requests } = await carryOn({ request, soFar: soFarOf('Hello') });
    expect(ending).toEqual(interrupted);
    expect(requests).toEqual([]);
  });

  it('that had reasoning', async () => {
    const { ending } = await carryOn({ soFar: soFarOf('Hello', { hasMore: true }) });
    expect(ending).toEqual(interrupted);
  });

  it.each<[what: string, request: EngineRequest, text: string]>([
    ['where a model has written one', REQUEST, 'See <|image_pad|> there'],
    ['also together with the prompt', { ...RAW_REQUEST, prompt: '<|image_' }, 'pad|> there'],
  ])('as a text with the placeholder of a picture: %s', async (_what, request, text) => {
    const soFar = soFarOf(text);
    const { ending, requests } = await carryOn({ request, soFar, capabilities: BY_TEXT });
    expect(ending).toEqual(interrupted);
    expect(requests).toEqual([]);
  });

  it.each([{}, { continuesText: true }])('by an engine that cannot: %o', async (capabilities) => {
    const { ending, requests } = await carryOn({ soFar: soFarOf('Hello'), capabilities });
    expect(ending).toEqual(interrupted);
    expect(requests).toEqual([]);
  });

  it.each([
    ['begins anew', 'Hello there'],
    ['says another word', ' people'],
    ['ends within the word', ' th'],
  ])('by one that %s; another may be able to', async (_name, says) => {
    const soFar = soFarOf('Hello there', { tokenIds: null });
    const { text, ending } = await carryOn({ soFar, says: [says] });
    expect(text).toBe('');
    expect(ending).toEqual(failedWith({ code: 'upstream_interrupted', retryable: true }));
  });

  it('with a count that contradicts itself', async () => {
    const replies = { '/tokenize': [200, { tokens: Array(50).fill(1) }] as [number, object] };
    const { usage, ending } = await carryOn({ soFar: soFarOf('Hello'), replies });
    expect(ending).toMatchObject({ kind: 'whole' });
    expect(usage).toBeNull();
  });

  it.each(['/tokenize', '/detokenize'])('by an engine that has lost its %s', async (path) => {
    const replies = { [path]: [404, 'no such thing'] as [number, string] };
    const { ending } = await carryOn({ soFar: soFarOf('Hello'), replies });
    expect(ending).toEqual(interrupted);
  });

  it.each(['/tokenize', '/detokenize'])('while %s fails, but may be later', async (path) => {
    for (const [status, body] of [
      [503, 'busy'],
      [200, 'no JSON'],
      [200, '{"tokens":"none","prompt":1}'],
    ] as const) {
      const { ending, text } = await carryOn({
        soFar: soFarOf('Hello'),
        replies: { [path]: [status, body] },
      });
      expect(ending).toEqual(failedWith({ code: 'upstream_error', retryable: true }));
      expect(text).toBe('');
    }
  });
});
