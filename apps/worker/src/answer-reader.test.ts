import { Buffer } from 'node:buffer';
import * as fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import {
  FINISH,
  PATIENCE,
  REQUEST,
  SECRET,
  USAGE,
  answered,
  engineAt,
  failedWith,
  finished,
  reply,
  start,
  whole,
} from './engine-trial-for-test.ts';
import { DONE, delta, event, startHostileEngine } from './hostile-engine-for-test.ts';

describe('a whole answer', () => {
  const words = ['Grüße, ', '漢字 and ', '🙂👩‍👩‍👧 ', 'line\nbreak\r\n', 'end.'];
  const body = [
    ': keep-alive',
    '',
    ...words.flatMap((text, index) => [
      'event: message',
      `id: ${index}`,
      'retry: 10',
      delta({ content: text }).trimEnd(),
      '',
      ': keep-alive',
    ]),
    '',
    event({ choices: [{ delta: {}, finish_reason: 'stop' }], usage: USAGE }).trimEnd(),
    '',
    'data: [DONE]',
    '',
    '',
  ];

  it.each([
    ['LF', '\n'],
    ['CRLF', '\r\n'],
    ['CR', '\r'],
  ])(
    'is byte-exact wherever its body is cut, with %s',
    async (_name, newline) => {
      const bytes = Buffer.from(body.join(newline));
      const server = await startHostileEngine(({ response, body: sent }) => {
        const cut = (JSON.parse(sent) as { seed: number }).seed;
        reply(
          response,
          [bytes.subarray(0, cut), bytes.subarray(cut)].filter(({ length }) => length > 0),
        );
      });
      const engine = engineAt(server.url);
      const cuts = Array.from({ length: bytes.length + 1 }, (_, cut) => cut);
      const answers = await Promise.all(
        cuts.map((seed) => finished(start(engine, { request: { ...REQUEST, seed } }))),
      );
      const exact = { text: words.join(''), reasoning: '', usage: USAGE, ending: whole };
      for (const answer of answers) expect(answer).toEqual(exact);
    },
    30_000,
  );

  it('is byte-exact when every byte comes alone', async () => {
    const bytes = Buffer.from(body.join('\r\n'));
    const answer = await answered(
      ...Array.from(bytes, (_, index) => bytes.subarray(index, index + 1)),
    );
    expect(answer).toMatchObject({ text: words.join(''), ending: whole, usage: USAGE });
  });

  it('is the concatenation of its deltas, whatever they are and however they are chunked', async () => {
    let pieces: Buffer[] = [];
    const server = await startHostileEngine(({ response }) => reply(response, pieces));
    const engine = engineAt(server.url);
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ unit: 'grapheme', maxLength: 12 }), { maxLength: 12 }),
        fc.array(fc.nat(), { maxLength: 8 }),
        fc.constantFrom('\n', '\r\n'),
        async (texts, seeds, newline) => {
          const events = [...texts.map((content) => delta({ content })), FINISH, DONE].join('');
          const bytes = Buffer.from(events.replaceAll('\n', newline));
          const cuts = seeds.map((seed) => seed % bytes.length).toSorted((a, b) => a - b);
          pieces = [0, ...cuts].map((from, index) => bytes.subarray(from, cuts[index]));
          const answer = await finished(start(engine));
          expect(answer).toMatchObject({ text: texts.join(''), ending: whole });
        },
      ),
      { numRuns: 150 },
    );
  }, 30_000);

  it('publishes each delta when it comes, in order', async () => {
    const server = await startHostileEngine(({ response }) =>
      reply(response, [
        delta({ content: 'a' }),
        delta({ content: 'b' }) + delta({ content: 'c' }),
        FINISH,
      ]),
    );
    const run = start(engineAt(server.url));
    await run.outcome;
    expect(run.deltas).toEqual(['a', 'b', 'c']);
  });

  it.each([
    ['no [DONE]', [delta({ content: 'ok' }), FINISH]],
    ['no blank line after the last event', [delta({ content: 'ok' }), FINISH, 'data: [DONE]']],
    ['a finish chunk that no line end follows', [delta({ content: 'ok' }), FINISH.trimEnd()]],
    ['text on its finish chunk', [delta({ content: 'ok' }, 'stop'), DONE]],
    ['a byte order mark', ['\uFEFF', delta({ content: 'ok' }), FINISH, DONE]],
    ['chunks without delta', [event({ choices: [{}] }), delta({ content: 'ok' }), FINISH, DONE]],
    [
      'chunks without choices',
      [
        event({}),
        event({ choices: [] }),
        event({ choices: null }),
        delta({ content: 'ok' }),
        FINISH,
        DONE,
      ],
    ],
    [
      'null content',
      [delta({ role: 'assistant', content: null }), delta({ content: 'ok' }), FINISH, DONE],
    ],
    [
      'words after [DONE]',
      [delta({ content: 'ok' }), FINISH, DONE, delta({ content: 'no' }), DONE],
    ],
    [
      'no space after the colon',
      [delta({ content: 'ok' }).replace('data: ', 'data:'), FINISH, DONE],
    ],
  ])('may have %s', async (_name, pieces) => {
    expect(await answered(...pieces)).toMatchObject({ text: 'ok', ending: whole });
  });

  it('ends with [DONE], also within one packet', async () => {
    const answer = await answered(
      delta({ content: 'ok' }) + FINISH + DONE + delta({ content: 'no' }),
    );
    expect(answer).toMatchObject({ text: 'ok', ending: whole });
  });

  it('may be empty', async () => {
    expect(await answered(FINISH, DONE)).toMatchObject({ text: '', ending: whole });
  });

  it.each(['stop', 'length', 'tool_calls', 'content_filter'])('ends with %s', async (reason) => {
    const { ending } = await answered(delta({ content: 'x' }, reason), DONE);
    expect(ending).toEqual({ kind: 'whole', finishReasons: [reason] });
  });

  it.each(['reasoning', 'reasoning_content'])('has its thoughts in delta.%s', async (field) => {
    const answer = await answered(
      delta({ [field]: 'hm ' }),
      delta({ [field]: 'yes' }),
      delta({ content: 'Y' }),
      FINISH,
      DONE,
    );
    expect(answer).toMatchObject({ text: 'Y', reasoning: 'hm yes', ending: whole });
  });

  it.each([
    [
      'on the finish chunk',
      [event({ choices: [{ delta: {}, finish_reason: 'stop' }], usage: USAGE })],
      USAGE,
    ],
    ['on a chunk of its own', [FINISH, event({ choices: [], usage: USAGE })], USAGE],
    [
      'on every chunk, the last one counts',
      [
        event({ choices: [], usage: { ...USAGE, completion_tokens: 1 } }),
        FINISH,
        event({ usage: USAGE }),
      ],
      USAGE,
    ],
    [
      'without a total',
      [FINISH, event({ usage: { prompt_tokens: 3, completion_tokens: 2 } })],
      USAGE,
    ],
    ['before its end', [event({ choices: [], usage: USAGE }), FINISH], USAGE],
    ['not at all', [FINISH], null],
    ['as null', [FINISH, event({ choices: [], usage: null })], null],
    [
      'in a form that nobody knows',
      [FINISH, event({ choices: [], usage: { prompt_tokens: -1 } })],
      null,
    ],
  ])('has its usage %s', async (_name, events, usage) => {
    expect(await answered(...events, DONE)).toMatchObject({ usage, ending: whole });
  });

  it('is preceded by early hints', async () => {
    const server = await startHostileEngine(({ response }) => {
      response.writeEarlyHints({ link: '</a>; rel=preload' }, () =>
        reply(response, [FINISH, DONE]),
      );
    });
    const { ending } = await start(engineAt(server.url)).outcome;
    expect(ending).toEqual(whole);
  });
});

describe('an answer is never whole', () => {
  const broken = { code: 'upstream_error', retryable: true, burns: 'try', engine: 'suspect' };
  /** Before its first text, a lost connection is nothing that the job did. */
  const lost = { ...broken, burns: 'spare', brokeOff: true };
  const text = delta({ content: 'some' });

  it.each([
    ['without a finish reason', [text, DONE]],
    ['without anything', []],
    ['with only comments', [': keep-alive\n\n']],
    ['with finish reason abort', [text, delta({}, 'abort'), DONE]],
    ['with finish reason error', [text, delta({}, 'error'), DONE]],
    ['with an unknown finish reason', [text, delta({}, SECRET), DONE]],
    ['with malformed JSON', [text, event('{"choices":[{'), FINISH, DONE]],
    ['with JSON that is not a chunk', [text, event('[]'), FINISH, DONE]],
    ['with content that is not a string', [delta({ content: 7 }), FINISH, DONE]],
    ['with two events that nothing divides', [text.trimEnd(), '\n', FINISH, DONE]],
    ['with a last event that is cut', [text, FINISH, 'data: {"choices":[{"del']],
    [
      'with bytes that are not UTF-8',
      [
        text,
        Buffer.from('data: {"choices":[{"delta":{"content":"\xFF"}}]}\n\n', 'latin1'),
        FINISH,
        DONE,
      ],
    ],
    ['that ends inside a character', [text, FINISH, Buffer.from('é').subarray(0, 1)]],
    [
      'with an error object',
      [
        text,
        event({ error: { message: SECRET, type: 'InternalServerError', param: null, code: 500 } }),
        DONE,
      ],
    ],
    [
      'with an error object after its finish reason',
      [text, FINISH, event({ error: { message: SECRET, code: 500 } }), DONE],
    ],
    ['with an error string', [text, event({ error: SECRET }), DONE]],
    ['with an overload inside', [text, event({ error: { message: SECRET, code: 429 } }), DONE]],
    ['that is HTML', [`<!doctype html><title>502</title>\n\n<p>data: ${SECRET}</p>`]],
    [
      'that is one JSON body',
      [JSON.stringify({ choices: [{ message: { content: SECRET }, finish_reason: 'stop' }] })],
    ],
  ])('%s', async (_name, pieces: (string | Uint8Array)[]) => {
    const { ending } = await answered(...pieces);
    expect(ending).toEqual(failedWith(broken));
    expect(JSON.stringify(ending)).not.toContain(SECRET);
  });

  it.each([
    ['abort', [text, delta({}, 'abort'), DONE], true],
    ['nothing', [text], true],
    ['error', [text, delta({}, 'error'), DONE], false],
    ['an error object', [text, event({ error: 'broken' })], false],
  ])('and broke off, or not, when it ends with %s', async (_name, pieces, brokeOff) => {
    const { ending } = await answered(...pieces);
    expect(ending).toEqual(failedWith({ ...broken, brokeOff }));
  });

  it('when everything that follows an error shares its packet', async () => {
    const server = await startHostileEngine(({ request }) => {
      const pieces = [
        text,
        event({ error: 'broken' }),
        ...Array<string>(50).fill(text),
        FINISH,
        DONE,
      ];
      const chunks = pieces.map(
        (piece) => `${Buffer.byteLength(piece).toString(16)}\r\n${piece}\r\n`,
      );
      request.socket.write(
        `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${chunks.join('')}0\r\n\r\n`,
      );
    });
    const run = start(engineAt(server.url));
    expect((await run.outcome).ending).toEqual(failedWith(broken));
    expect(run.text).toBe('some');
  });

  it('and nothing is read after its failure', async () => {
    const answer = await answered(text + event({ error: 'broken' }) + text + FINISH + DONE);
    expect(answer).toMatchObject({ text: 'some', ending: failedWith(broken) });
  });

  it.each([
    ['a refusal of the request', 400, 'upstream_rejected'],
    ['a refusal of our model', 404, 'upstream_error'],
  ])('and is not tried again after %s inside the stream', async (_name, status, code) => {
    const { ending } = await answered(event({ error: { message: SECRET, code: status } }), DONE);
    expect(ending).toEqual(failedWith({ code, retryable: false }));
    expect(JSON.stringify(ending)).not.toContain(SECRET);
  });

  it('and says so when the prompt turns out to be too long inside the stream', async () => {
    const message =
      'The decoder prompt (length 9000) is longer than the maximum model length of 8192.';
    const { ending } = await answered(event({ error: { message, code: 400 } }), DONE);
    expect(ending).toEqual(failedWith({ code: 'context_length_exceeded', retryable: false }));
  });

  it.each([
    ['before its headers', [], { hasHeaders: false, failure: lost }],
    ['after its headers', [''], { hasHeaders: true, failure: lost }],
    ['in the middle', [text], { hasHeaders: true, failure: broken }],
    [
      'after its finish reason, before a clean end',
      [text, FINISH],
      { hasHeaders: true, failure: broken },
    ],
  ])('when it is cut %s', async (_name, pieces, { hasHeaders, failure }) => {
    for (const cut of ['destroy', 'resetAndDestroy'] as const) {
      const server = await startHostileEngine(({ request, response }) => {
        if (hasHeaders) response.writeHead(200).flushHeaders();
        for (const piece of pieces) response.write(piece);
        // Not before what was written is on its way.
        setImmediate(() => request.socket[cut]());
      });
      const { ending } = await start(engineAt(server.url)).outcome;
      expect(ending).toEqual(failedWith(failure));
    }
  });

  it('when it is cut after it was announced', async () => {
    const server = await startHostileEngine(({ request, response }) => {
      response.writeEarlyHints({ link: '</a>; rel=preload' }, () => request.socket.destroy());
    });
    expect((await start(engineAt(server.url)).outcome).ending).toEqual(failedWith(lost));
  });

  it('when it is shorter than its headers say', async () => {
    const server = await startHostileEngine(({ request }) => {
      request.socket.end(`HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n${text}${FINISH}`);
    });
    expect((await start(engineAt(server.url)).outcome).ending).toEqual(failedWith(broken));
  });

  it.each([
    ['a negative length', 'HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n'],
    [
      'a length beyond all numbers',
      `HTTP/1.1 200 OK\r\ncontent-length: ${'9'.repeat(400)}\r\n\r\n`,
    ],
    ['a length that is none', 'HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n'],
    ['endless headers', `HTTP/1.1 200 OK\r\nx: ${'x'.repeat(100_000)}\r\n\r\n`],
    ['chunks that are none', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n'],
    ['a protocol of its own', 'SSH-2.0-OpenSSH_9.6\r\n'],
    ['an upgrade', 'HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'],
  ])('when its head has %s', async (_name, head) => {
    const server = await startHostileEngine(({ request }) => {
      request.socket.end(`${head}${text}${FINISH}${DONE}`);
    });
    const { ending } = await start(engineAt(server.url)).outcome;
    const { code, retryable, engine } = broken;
    expect(ending).toEqual(failedWith({ code, retryable, engine }));
  });

  it('when one event has no end, of which only the beginning is kept', async () => {
    let written = 0;
    const server = await startHostileEngine(({ response }) => {
      response.writeHead(200);
      const more = (): void => {
        if (response.destroyed) return;
        written += 65_536;
        response.write(
          written === 65_536 ? `data: ${'x'.repeat(65_530)}` : 'x'.repeat(65_536),
          more,
        );
      };
      more();
    });
    const run = start(engineAt(server.url));
    expect((await run.outcome).ending).toEqual(failedWith(broken));
    await vi.waitFor(() => expect(server.openConnections).toBe(0), PATIENCE);
    // What was under way in the sockets' buffers is not what the client kept.
    expect(written).toBeLessThan(32 * 1_048_576);
  });
});

/** A chunk of these tokens, after which there are so many. */
function counted(text: string, ids: number[], total: number, finish: string | null = null): string {
  return event({
    choices: [{ index: 0, delta: { content: text }, token_ids: ids, finish_reason: finish }],
    usage: { prompt_tokens: 3, completion_tokens: total, total_tokens: 3 + total },
  });
}

describe('an answer whose tokens are counted', () => {
  const capabilities = { tokenIds: true, countsContinuously: true };
  const END = counted('', [9], 3, 'stop') + DONE;
  const GARBLED = 'data: {"choices":[{"del\n\n';

  async function read(...pieces: string[]) {
    const server = await startHostileEngine(({ response }) => reply(response, pieces));
    return finished(start(engineAt(server.url), { capabilities }));
  }

  it('is whole though an event is garbled that held nothing of it', async () => {
    const answer = await read(counted('a', [1], 1), GARBLED, counted('b', [2], 2), END);
    expect(answer).toMatchObject({ text: 'ab', ending: whole });
  });

  it.each([
    ['an event of it is garbled', [counted('a', [1], 1), GARBLED, END], 'a'],
    ['two events are garbled', [GARBLED, GARBLED, counted('a', [1], 1)], ''],
    ['an event of it is lost', [counted('a', [1], 1), counted('c', [3], 3)], 'a'],
    ['an event of it comes twice', [counted('a', [1], 1), counted('a', [1], 1)], 'a'],
    ['nothing is counted after a garbled one', [GARBLED, delta({ content: 'b' })], ''],
    ['it has more than was asked for', [counted('a', Array<number>(17).fill(1), 17)], ''],
    ['it has words without end', [delta({ content: 'x'.repeat(16 * 256 + 1) })], ''],
  ])('is broken where %s, and nothing after that is let out', async (_name, pieces, text) => {
    const answer = await read(...pieces, END);
    expect(answer).toMatchObject({ text, ending: failedWith({ code: 'upstream_error' }) });
  });

  it('may have tokens that its parser of reasoning keeps to itself', async () => {
    const reasoned = event({
      choices: [{ index: 0, delta: { reasoning: 'so' }, token_ids: [2], finish_reason: null }],
      usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 },
    });
    const last = counted('a', [5], 4, 'stop') + DONE;
    const answer = await read(reasoned, last);
    expect(answer).toMatchObject({ text: 'a', reasoning: 'so', ending: whole });
  });
});
