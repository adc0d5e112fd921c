/**
 * Requests of the kinds by which engines and gateways have been broken. Each is refused, or what is
 * hostile in it is ignored; in both cases nothing of it reaches an engine.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { postJson, startApiWorld } from '../harness/api.ts';
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
const url = `http://169.254.169.254/${MARK}`;

let world: ApiWorld;
let worker: TestWorker;

beforeAll(async () => {
  world = await startApiWorld();
  worker = await world.startWorker('fast');
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
