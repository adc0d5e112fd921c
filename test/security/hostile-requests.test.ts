/**
 * Requests of the kinds by which engines and gateways have been broken. Each is refused, or what is
 * hostile in it is ignored; in both cases nothing of it reaches an engine.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { postJson, startApiWorld } from '../harness/api.ts';
import { operationsOf } from '../fuzz/operations.ts';
import type { OpenApi } from '../fuzz/operations.ts';
import type { ApiWorld, TestAttempt, TestWorker } from '../harness/api.ts';

const ROUTES = ['/v1/jobs', '/v1/chat/completions'] as const;
/** Stands in every hostile value, where it may be any. */
const MARK = 'hostile-9f2c';
const HELLO = [{ role: 'user', content: 'Hello' }];

const part = (content: object) => ({ messages: [{ role: 'user', content: [content] }] });
const tool = (parameters: object) => ({
  tools: [{ type: 'function', function: { name: 'f', parameters } }],
});
const answer = (schema: object) => ({
  response_format: { type: 'json_schema', json_schema: { name: 'a', schema } },
});
const system = (content: unknown) => ({ messages: [{ role: 'system', content }, ...HELLO] });
const toolAnswer = (content: string, args = '{}') => ({
  messages: [
    ...HELLO,
    {
      role: 'assistant',
      tool_calls: [{ id: 'a', type: 'function', function: { name: 'f', arguments: args } }],
    },
    { role: 'tool', tool_call_id: 'a', content },
  ],
});
const MUTUAL = { $ref: '#/$defs/a', $defs: { a: { $ref: '#/$defs/b' }, b: { $ref: '#/$defs/a' } } };
const DATA_URL = `data:image/png;base64,${MARK}`;
const nested = (depth: number): object =>
  depth === 0 ? { type: 'string' } : { type: 'array', items: nested(depth - 1) };
const url = `http://169.254.169.254/${MARK}`;

let world: ApiWorld;
let worker: TestWorker;
/** By the API's own description; each with a request that it takes. */
let others: { path: string; plain: object }[];

beforeAll(async () => {
  world = await startApiWorld();
  worker = await world.startWorker('fast');
  const document = (await (await fetch(`${world.api.url}/openapi.json`)).json()) as OpenApi;
  others = operationsOf(document).flatMap(({ path, body }) => {
    const isKnown = [...ROUTES, '/v1/route'].some((known) => known === path);
    if (isKnown || body?.properties?.['model'] === undefined) return [];
    const field = body.properties['input'] === undefined ? 'prompt' : 'input';
    return [{ path, plain: { model: 'auto', stream: true, [field]: 'Hello' } }];
  });
});
afterAll(() => world.stop());

function jobOf(response: Response): string {
  return response.headers.get('x-qarr-job') ?? '';
}

/** What has reached the engine is the question, with its defaults, and nothing more. */
async function expectPlain(attempt: TestAttempt): Promise<void> {
  await attempt.complete();
  expect(attempt.job.request).toEqual({ messages: HELLO, max_tokens: 512, temperature: 0.7 });
  expect(JSON.stringify(attempt.job)).not.toContain(MARK);
}

describe.each(ROUTES)('to %s', (route) => {
  it.each<[advisory: string, fields: object]>([
    ['CVE-2026-34756: more choices than memory', { n: 16_384 }],
    ['GHSA-69j4-grxj-j64p: arguments of the template', { chat_template_kwargs: { tools: MARK } }],
    ['CVE-2026-115911: a template without end', { chat_template: '{% for x in range(1e9) %}' }],
    ['PYSEC-2025-54: a schema that ends the server', { guided_json: { type: MARK } }],
    ['PYSEC-2025-54, as OpenAI spells it', answer({ type: MARK })],
    ['CVE-2025-48943: a regular expression that is none', { guided_regex: '(' }],
    ['CVE-2025-48943, in a schema', answer({ properties: { a: { pattern: '(' } } })],
    ['CVE-2025-48943, as structured output', { structured_outputs: { regex: '(' } }],
    ['GHSA-vrq3-r879-7m65: a pattern of a tool', tool({ properties: { a: { pattern: '(' } } })],
    ['GHSA-vrq3-r879-7m65: a type of a tool', tool({ properties: { a: { type: MARK } } })],
    ['CVE-2025-29770: a grammar to be cached', { guided_grammar: 'root ::= "a"' }],
    ['GHSA-hf3c-wxg2-49q9: another one', { guided_choice: [MARK] }],
    ['CVE-2025-57809: a rule that is itself', answer({ $ref: '#' })],
    [
      'CVE-2026-44222: a picture that is none',
      { messages: [{ role: 'user', content: '<|image_pad|>' }] },
    ],
    ['CVE-2026-44222, in a tool', tool({ description: '<|vision_start|><|image_pad|>' })],
    ['CVE-2026-56340: a prompt in numbers', { prompt_embeds: MARK }],
    ['PYSEC-2026-2303: several of them', { prompt_embeds: [MARK, MARK] }],
    ['CVE-2025-6242: a picture from inside', part({ type: 'image_url', image_url: { url } })],
    ['CVE-2026-34755: a video', part({ type: 'video_url', video_url: { url } })],
    ['CVE-2026-54233: a sound', part({ type: 'input_audio', input_audio: { data: MARK } })],
    ['CVE-2026-105758: how to read media', { media_io_kwargs: { video: { num_frames: 1e9 } } }],
    ['CVE-2026-105760: and images', { media_io_kwargs: { image: { mode: MARK } } }],
    ['PYSEC-2026-4361: how to process media', { mm_processor_kwargs: { size: 1e9 } }],
    [
      'CVE-2026-116173: many probabilities',
      { logprob_token_ids: Array.from({ length: 129 }, () => 1) },
    ],
    ['CVE-2026-34756, as text', { n: '16384' }],
    ['CVE-2026-34756, by another name', { best_of: 16_384 }],
    ['CVE-2026-34756, as beams', { use_beam_search: true }],
    ['CVE-2026-115911, by what is filled in', { documents: [{ text: MARK }] }],
    ['a template that goes on with the answer', { continue_final_message: true }],
    ['code that is to be run', { logits_processors: [MARK] }],
    ['words to be kept out', { bad_words: [MARK] }],
    ['tokens outside of the vocabulary, allowed', { allowed_token_ids: [2 ** 31] }],
    ['probabilities of the prompt', { prompt_logprobs: 1_000_000 }],
    ['a prompt that is cut', { truncate_prompt_tokens: -1 }],
    ['tokens without end', { thinking_token_budget: 2 ** 31 }],
    ['GHSA-vrq3-r879-7m65, deep inside', tool({ $defs: { a: { items: [{ pattern: '(' }] } } })],
    ['GHSA-vrq3-r879-7m65, of names', tool({ patternProperties: { '(': {} } })],
    ['CVE-2025-48943, deep inside', answer({ anyOf: [{ items: { pattern: '(' } }] })],
    ['CVE-2025-57809, by two that are each other', answer(MUTUAL)],
    ['a schema deeper than a stack', answer(nested(20))],
    ['CVE-2026-44222, to the system', system('<|image_pad|>')],
    ['CVE-2026-44222, as what a tool has answered', toolAnswer('<|vision_start|>')],
    ['CVE-2026-44222, as what a tool was asked', toolAnswer('', '{"a":"<|video_pad|>"}')],
    ['CVE-2026-44222, in other characters', toolAnswer('', '{"a":"\\u003c|video_pad|>"}')],
    ['CVE-2026-44222, in a schema', answer({ description: '<|audio_bos|>' })],
    [
      'CVE-2025-6242, within the request',
      part({ type: 'image_url', image_url: { url: DATA_URL } }),
    ],
    ['CVE-2025-6242, to the system', system([{ type: 'image_url', image_url: { url } }])],
    ['a file', part({ type: 'file', file: { file_id: MARK } })],
    ['a part that has no name', part({ type: `image_${MARK}` })],
    ['text with a picture beside it', part({ type: 'text', image_url: { url } })],
    ['more probabilities', { logprobs: true, top_logprobs: 20 }],
    ['tokens outside of the vocabulary', { stop_token_ids: [2 ** 31], min_tokens: 1 }],
    ['biases of tokens outside of it', { logit_bias: { [2 ** 31]: 1 } }],
  ])('%s is refused', async (_advisory, fields) => {
    const before = await world.jobIds();
    // What is taken is answered at once as a stream.
    const body = { messages: HELLO, stream: true, ...fields };
    const response = await postJson(world.api.url + route, body);
    expect(response.status).toBe(400);
    const text = await response.text();
    expect(text).toContain('"param":"');
    expect(text).not.toContain(MARK);
    expect(await world.jobIds()).toEqual(before);
  });

  it.each<[advisory: string, fields: object]>([
    ['CVE-2025-29770: a backend with a cache', { guided_decoding_backend: MARK }],
    ['CVE-2024-6587: another engine', { api_base: url, base_url: url }],
    ['CVE-2026-108719: an address to call', { callback_url: url }],
    ['CVE-2026-75871: another model', { model_metadata: { endpoint: url } }],
    ['a place in front of others', { priority: -1 }],
    ['the memory of another request', { kv_transfer_params: { remote_host: MARK } }],
    ['the same for pictures', { ec_transfer_params: { remote_host: MARK } }],
    ['arguments of plug-ins', { vllm_xargs: { x: MARK } }],
    ['the cache of another tenant', { cache_salt: MARK }],
    ['the name of another request', { request_id: MARK, session_id: MARK }],
  ])('%s is ignored, or refused', async (_advisory, fields) => {
    const before = await world.jobIds();
    const body = { messages: HELLO, stream: true, ...fields };
    const response = await postJson(world.api.url + route, body);
    if (route === '/v1/jobs') {
      expect(response.status).toBe(400);
      expect(await response.text()).toContain('unknown_parameter');
      expect(await world.jobIds()).toEqual(before);
    } else {
      expect(response.status).toBe(200);
      await expectPlain(await worker.next(jobOf(response)));
    }
  });

  it.each<[advisory: string, headers: Record<string, string>]>([
    ['CVE-2025-66405: another engine', { 'x-portkey-custom-host': url }],
    ['CVE-2026-110719: once more', { 'x-portkey-config': JSON.stringify({ custom_host: url }) }],
    ['CVE-2026-42208: a key that is SQL', { authorization: `Bearer ' OR 1=1 -- ${MARK}` }],
    ['a place in front of others', { 'x-vllm-priority': '-1', 'x-data-parallel-rank': '0' }],
    ['the name of another request', { 'x-request-id': MARK, 'x-session-id': MARK }],
  ])('%s, in a header, is ignored', async (_advisory, headers) => {
    const response = await postJson(
      world.api.url + route,
      { messages: HELLO, stream: true },
      { headers: { 'content-type': 'application/json', ...headers } },
    );
    expect(response.ok).toBe(true);
    expect(response.headers.get('x-request-id')).not.toBe(MARK);
    await expectPlain(await worker.next(jobOf(response)));
  });

  it.each([
    'application/json\t; boundary=x',
    'application/jsonx',
    ' application/x-www-form-urlencoded',
    'text/plain;application/json',
    'APPLICATION/JSON\u00a0;x',
  ])('CVE-2025-32442: the content type %j does not pass what is not valid', async (type) => {
    const before = await world.jobIds();
    const init = { headers: { 'content-type': type } };
    const response = await postJson(
      world.api.url + route,
      { messages: HELLO, stream: true, n: 99 },
      init,
    );
    expect([400, 415]).toContain(response.status);
    expect(await world.jobIds()).toEqual(before);
  });
});

describe('CVE-2018-3721 and its like: what would poison all objects', () => {
  const POISON = '{"n":99,"stream":true,"isAdmin":true}';
  const bodies: [where: string, body: string][] = [
    ['at the top', `{"messages":[{"role":"user","content":"Hello"}],"__proto__":${POISON}}`],
    ['in a message', `{"messages":[{"role":"user","content":"Hello","__proto__":${POISON}}]}`],
    ['in metadata', `{"prompt":"Hello","metadata":{"__proto__":${POISON}}}`],
    [
      'in a schema',
      `{"prompt":"Hello","tools":[{"type":"function","function":{"name":"f","parameters":{"__proto__":${POISON}}}}]}`,
    ],
    ['in other characters', `{"prompt":"Hello","\\u005f_proto__":${POISON}}`],
    ['by a constructor', `{"prompt":"Hello","constructor":{"prototype":${POISON}}}`],
    [
      'by one deep inside',
      `{"prompt":"Hello","user":{"a":[{"constructor":{"prototype":${POISON}}}]}}`,
    ],
  ];

  it.each(bodies)('%s is refused', async (_where, body) => {
    for (const route of [...ROUTES, '/v1/route']) {
      const before = await world.jobIds();
      const response = await postJson(world.api.url + route, body);
      expect(response.status).toBe(400);
      expect(await response.text()).toContain('"code":"invalid_json"');
      expect(await world.jobIds()).toEqual(before);
    }
  });

  it.each(['__proto__[n]=99', '__proto__.n=99', 'constructor[prototype][n]=99', '__proto__=99'])(
    'in a query is ignored, or refused: %s',
    async (query) => {
      for (const path of ['/v1/jobs', '/v1/models', '/v1/jobs/x/events', '/healthz']) {
        const response = await fetch(`${world.api.url}${path}?${query}`);
        expect([200, 400, 404]).toContain(response.status);
      }
      const chat = `${world.api.url}/v1/chat/completions?${query}`;
      const response = await postJson(chat, { messages: HELLO, stream: true });
      await expectPlain(await worker.next(jobOf(response)));
    },
  );
});

describe('every other route that makes jobs', () => {
  it.each<[advisory: string, fields: Record<string, unknown>]>([
    ['CVE-2026-34756', { n: 16_384 }],
    ['CVE-2026-34756, by another name', { best_of: 16_384 }],
    ['GHSA-69j4-grxj-j64p', { chat_template_kwargs: { tools: MARK } }],
    ['CVE-2026-115911', { chat_template: MARK, documents: [{ text: MARK }] }],
    ['PYSEC-2025-54', { guided_json: { type: MARK } }],
    ['CVE-2025-48943', { guided_regex: MARK }],
    ['CVE-2025-48943, as structured output', { structured_outputs: { regex: MARK } }],
    ['CVE-2025-48943, as text', { text: { format: { type: MARK } } }],
    [
      'GHSA-vrq3-r879-7m65',
      { tools: [{ type: 'function', name: MARK, parameters: { pattern: '(' } }] },
    ],
    ['CVE-2025-29770', { guided_grammar: MARK, guided_decoding_backend: MARK }],
    ['CVE-2026-56340', { prompt_embeds: MARK }],
    ['CVE-2026-105758', { media_io_kwargs: { video: MARK } }],
    ['PYSEC-2026-4361', { mm_processor_kwargs: { size: MARK } }],
    ['CVE-2026-116173', { logprob_token_ids: Array.from({ length: 129 }, () => 1) }],
    ['CVE-2026-44222', { prompt: `${MARK} <|image_pad|>`, input: `${MARK} <|image_pad|>` }],
    [
      'CVE-2025-6242',
      { input: [{ role: 'user', content: [{ type: 'input_image', image_url: url }] }] },
    ],
    ['many prompts', { prompt: Array.from({ length: 1_000 }, () => MARK) }],
    ['a prompt of tokens outside of the vocabulary', { prompt: [2 ** 31, -1] }],
    ['code that is to be run', { logits_processors: [MARK] }],
    ['tokens outside of the vocabulary', { logit_bias: { [2 ** 31]: 1 }, allowed_token_ids: [-1] }],
    [
      'what others own',
      { priority: -1, kv_transfer_params: { remote_host: MARK }, cache_salt: MARK },
    ],
    ['another engine', { api_base: url, base_url: url, callback_url: url }],
  ])('%s is refused, or nothing of it reaches an engine', async (_advisory, fields) => {
    for (const { path, plain } of others) {
      const before = await world.jobIds();
      const response = await postJson(world.api.url + path, { ...plain, ...fields });
      if (response.status === 200) {
        const attempt = await worker.next(jobOf(response));
        const { request } = attempt.job;
        await attempt.complete();
        expect(JSON.stringify(request)).not.toContain(MARK);
        for (const name of Object.keys(fields)) expect(request).not.toHaveProperty(name);
      } else {
        expect(response.status).toBe(400);
        expect(await response.text()).not.toContain(MARK);
        expect(await world.jobIds()).toEqual(before);
      }
    }
  });
});

describe('what engines and other gateways leave open', () => {
  it.each([
    '/tokenize',
    '/detokenize',
    '/invocations',
    '/pause',
    '/sleep',
    '/update_weights',
    '/collective_rpc',
    '/v1/load_lora_adapter',
    '/inference/v1/generate',
    '/config/update',
    '/prompts/test',
    '/mcp-rest/test/connection',
    '/key/generate',
  ])('is not here: %s', async (path) => {
    const response = await postJson(world.api.url + path, { prompt: MARK });
    expect(response.status).toBe(404);
  });
});
