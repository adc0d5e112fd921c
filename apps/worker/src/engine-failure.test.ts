import type { ServerResponse } from 'node:http';
import { describe, expect, it } from 'vitest';
import {
  RAW_REQUEST,
  SECRET,
  SHORT_MS,
  engineAt,
  failedWith,
  start,
} from './engine-trial-for-test.ts';
import { startHostileEngine } from './hostile-engine-for-test.ts';

describe('a status', () => {
  const refused = { retryable: false, engine: 'fine' };
  /** Our address, key or model name is wrong. */
  const misplaced = { code: 'upstream_error', retryable: false, engine: 'suspect' };
  const busy = { code: 'upstream_error', retryable: true, burns: 'nothing', engine: 'busy' };
  const broken = { code: 'upstream_error', retryable: true, burns: 'try', engine: 'suspect' };
  const table: [number, object][] = [
    [400, { ...refused, code: 'upstream_rejected' }],
    [413, { ...refused, code: 'upstream_rejected' }],
    [422, { ...refused, code: 'upstream_rejected' }],
    [501, { ...refused, code: 'upstream_rejected' }],
    [401, misplaced],
    [403, misplaced],
    [404, misplaced],
    [405, misplaced],
    [301, misplaced],
    [307, misplaced],
    [408, misplaced],
    [429, busy],
    [503, busy],
    [500, broken],
    [502, broken],
    [504, broken],
  ];

  it.each(table)('%i means what the table says, in our words', async (status, failure) => {
    const bodies = [
      '',
      JSON.stringify({ error: SECRET }),
      JSON.stringify({ error: { message: SECRET, type: 'X', param: null, code: status } }),
      `<html>${SECRET}</html>`,
    ];
    for (const body of bodies) {
      const server = await startHostileEngine(({ response }) =>
        response
          .writeHead(status, SECRET.replaceAll(' ', '-'), { location: 'http://127.0.0.1:1/' })
          .end(body),
      );
      const { ending } = await start(engineAt(server.url)).outcome;
      expect(ending).toEqual(failedWith(failure));
      expect(JSON.stringify(ending)).not.toContain(SECRET);
      expect(server.requests).toHaveLength(1);
    }
  });

  it.each(table)('%i is believed also when its body never ends', async (status, failure) => {
    const endings = {
      cut: (response: ServerResponse) => setImmediate(() => response.socket?.resetAndDestroy()),
      silent: () => {},
      endless(response: ServerResponse) {
        const more = () => void (response.destroyed || response.write('x'.repeat(65_536), more));
        more();
      },
    };
    for (const end of Object.values(endings)) {
      const server = await startHostileEngine(({ response }) => {
        response.writeHead(status).write('{"error":');
        end(response);
      });
      // The status must have come by then, and a machine may be busy.
      const engine = engineAt(server.url, { timeouts: { firstTokenMs: 10 * SHORT_MS } });
      expect((await start(engine).outcome).ending).toEqual(failedWith(failure));
    }
  });

  it.each([
    "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens (8000 in the messages, 1000 in the completion). Please reduce the length of the messages or completion.",
    "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens in the messages, Please reduce the length of the messages.",
    "'max_tokens' or 'max_completion_tokens' is too large: 1000. This model's maximum context length is 8192 tokens and your request has 8000 input tokens (1000 > 8192 - 8000).",
    "This model's maximum context length is 8192 tokens. However, your request has 9000 input tokens. Please reduce the length of the input messages.",
    "You passed 9000 input tokens and requested 1000 output tokens. However, the model's context length is only 8192 tokens, resulting in a maximum input length of 7192 tokens. Please reduce the length of the input prompt.",
    "This model's maximum context length is 8192 tokens. However, you requested 1000 output tokens and your prompt contains at least 8000 input tokens, for a total of at least 9000 tokens. Please reduce the length of the input prompt or the number of requested output tokens. (parameter=input_tokens, value=8000)",
    "This model's maximum context length is 8192 tokens. However, you requested 10 output tokens and your prompt contains 90000 characters (more than 80000 characters, which is the upper bound for 8182 input tokens).",
    'max_tokens=9000 cannot be greater than max_model_len=8192',
    'The decoder prompt (length 9000) is longer than the maximum model length of 8192. Make sure that `max_model_len` is no smaller than the number of text tokens.',
    "Input length (9000) exceeds model's maximum context length (8192).",
  ])('400 is known to be about the context window: %s', async (message) => {
    const flat = { object: 'error', message, type: 'BadRequestError', param: null, code: 400 };
    const nested = { error: { message, type: 'BadRequestError', param: null, code: 400 } };
    for (const body of [flat, nested]) {
      const server = await startHostileEngine(({ response }) =>
        response.writeHead(400).end(JSON.stringify(body)),
      );
      const { ending } = await start(engineAt(server.url)).outcome;
      expect(ending).toEqual(failedWith({ ...refused, code: 'context_length_exceeded' }));
    }
  });

  it.each<[number, string, object]>([
    [404, '{"detail":"Not Found"}', { ...refused, code: 'upstream_rejected' }],
    [405, '', { ...refused, code: 'upstream_rejected' }],
    // An adapter that it has not loaded: our mistake, as it is for a chat.
    [404, '{"error":{"message":"The model `x` does not exist."}}', misplaced],
  ])(
    '%i says that there is no route for raw prompts, or no model: %s',
    async (status, body, is) => {
      const server = await startHostileEngine(({ response }) =>
        response.writeHead(status).end(body),
      );
      const raw = await start(engineAt(server.url), { request: RAW_REQUEST }).outcome;
      expect(raw.ending).toEqual(failedWith(is));
      const chat = await start(engineAt(server.url)).outcome;
      expect(chat.ending).toEqual(failedWith(misplaced));
      expect(server.requests.map(({ path }) => path)).toEqual([
        '/v1/completions',
        '/v1/chat/completions',
      ]);
    },
  );

  it('other than 400 is never about the context window', async () => {
    const server = await startHostileEngine(({ response }) =>
      response.writeHead(500).end("This model's maximum context length is 8192 tokens."),
    );
    expect((await start(engineAt(server.url)).outcome).ending).toEqual(failedWith(broken));
  });
});
