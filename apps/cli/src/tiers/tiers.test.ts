import { once } from 'node:events';
import { createServer } from 'node:http';
import type { RequestListener, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { stripVTControlCharacters } from 'node:util';
import { afterEach, describe, expect, test } from 'vitest';
import { readApiUrl } from '../config.ts';
import { createScreen } from '../screen.ts';
import { showTiers, watchTiers } from './tiers.ts';

const ENGINE = {
  url: 'http://127.0.0.1:8001',
  state: 'ready',
  running: 6,
  slots: 8,
  waiting: 2,
  kv_usage: 0.412,
  preemptions: 3,
  model: 'qarr-sim',
  max_model_len: 8192,
  version: null,
  breaker: 'closed',
  retry_in_ms: null,
};
const FAST = {
  name: 'fast',
  precision: 'awq-int4',
  max_model_len: 8192,
  depth: 155,
  depth_by_class: { interactive: 12, standard: 3, batch: 140 },
  running: 6,
  slots: 8,
  alert: true,
  breaker: 'half_open',
  estimated_wait_ms: 1_230,
  estimated_wait_ms_by_class: { interactive: 410, standard: 1_230, batch: null },
  fallback_jobs: 0,
  tokens_per_s: 400,
  workers: [
    {
      id: 'worker-1',
      upstreams: [
        ENGINE,
        {
          ...ENGINE,
          url: 'http://127.0.0.1:8002',
          state: 'gone',
          breaker: 'open',
          retry_in_ms: 14_600,
        },
      ],
    },
  ],
};
/** As an API tells it that knows neither alerts nor classes, and has no worker there. */
const OLD = {
  name: 'precise',
  depth: 0,
  running: 0,
  slots: 0,
  estimated_wait_ms: null,
  workers: [],
};

let server: Server | undefined;
afterEach(async () => {
  if (server?.listening !== true) return;
  const closed = once(server, 'close');
  server.close();
  server.closeAllConnections();
  await closed;
});

async function serve(answer: RequestListener): Promise<string> {
  server = createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function answering(body: unknown, status = 200): Promise<string> {
  return serve((_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  });
}

function terminal({ rows, colours = false }: { rows?: number; colours?: boolean } = {}) {
  let output = '';
  const stdout = {
    ...(rows === undefined ? {} : { rows }),
    write: (text: string) => (output += text),
  };
  const { style } = createScreen({ stdout, stderr: stdout, colours });
  return { stdout, style, shown: () => output };
}

function visible(text: string): string {
  return text.replaceAll('\u001B', '<');
}

async function shownOnce(
  baseUrl: string,
  {
    asJson = false,
    colours = false,
    apiKey,
  }: { asJson?: boolean; colours?: boolean; apiKey?: string } = {},
) {
  const { stdout, style, shown } = terminal({ colours });
  const { signal } = new AbortController();
  await showTiers({ baseUrl, apiKey, stdout, style, signal, asJson });
  return shown();
}

describe('qarr tiers', () => {
  test('shows what waits and runs, and the engines', async () => {
    expect(await shownOnce(await answering({ tiers: [FAST, OLD] }))).toMatchInlineSnapshot(`
      "TIER     WAITING  INTERACTIVE  STANDARD  BATCH  EST. WAIT INT. / STD.  RUNNING  BREAKER    ALERT  WORKERS
      fast     155      12           3         140    410 ms / 1.2 s         6/8      half_open  ALERT  1
      precise  0        –            –         –      – / –                  0/0      –          –      none

      TIER  WORKER    ENGINE                 STATE  BREAKER       RUNNING  QUEUED  KV CACHE  PREEMPTED  MODEL
      fast  worker-1  http://127.0.0.1:8001  ready  closed        6/8      2       41 %      3          qarr-sim
      fast  worker-1  http://127.0.0.1:8002  gone   open, 14.6 s  6/8      2       41 %      3          qarr-sim
      "
    `);
  });

  test('colours what needs somebody, without moving the columns', async () => {
    const baseUrl = await answering({ tiers: [FAST, OLD] });
    const plain = await shownOnce(baseUrl);
    const coloured = await shownOnce(baseUrl, { colours: true });
    expect(coloured).toContain('\u001B[31mALERT\u001B[39m');
    expect(coloured).toContain('\u001B[31mnone\u001B[39m');
    expect(coloured).toContain('\u001B[33mhalf_open\u001B[39m');
    expect(stripVTControlCharacters(coloured)).toBe(plain);
  });

  test('lets no escape sequence through, whatever the API says', async () => {
    const bad = '\u001B]0;owned\u0007\u009B2J\u202Egnp\u2028\r\nx'.repeat(9);
    const tier = {
      ...FAST,
      name: bad,
      breaker: bad,
      workers: [
        { id: bad, upstreams: [{ ...ENGINE, url: bad, state: bad, model: bad, breaker: bad }] },
      ],
    };
    const baseUrl = await answering({ tiers: [tier] });
    const text = await shownOnce(baseUrl);
    expect(text.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
    expect(text.split('\n')).toHaveLength(6);
    const json = await shownOnce(baseUrl, { asJson: true });
    expect(json.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
    expect(JSON.parse(json)).toEqual({ tiers: [tier] });
    const refused = await answering({ error: { code: bad, message: bad } }, 503);
    await expect(shownOnce(refused)).rejects.not.toThrow(/[\p{Cc}\p{Cf}]/u);
    await expect(shownOnce(refused)).rejects.toThrow(/\/v1\/tiers answered 503 \(/);
  });

  test('is not held up by numbers and lists that are none', async () => {
    const strange = { name: 7, depth: '\u001B[2J', slots: null, workers: [4, { upstreams: 'x' }] };
    expect(await shownOnce(await answering({ tiers: [strange, null, 'x'] }))).toMatch(
      /^TIER.*\n\?/,
    );
  });

  test.each<[string, unknown, number, RegExp]>([
    [
      'a refusal',
      { error: { code: 'queue_unavailable', message: 'No.' } },
      503,
      /503 \(queue_unavailable: No\.\)$/,
    ],
    ['another server', { hello: 1 }, 200, /is not QARR's; name its API with --url$/],
    ['a page of text', 'hello', 200, /is not QARR's/],
    ['no such route', {}, 404, /\/v1\/tiers answered 404$/],
  ])('says what to do about %s', async (_name, body, status, message) => {
    await expect(shownOnce(await answering(body, status))).rejects.toThrow(message);
  });

  test('asks with its key, and says what to do where it has none, or a wrong one', async () => {
    const asked: (string | undefined)[] = [];
    const error = {
      message: 'No.',
      type: 'authentication_error',
      param: null,
      code: 'invalid_api_key',
    };
    const baseUrl = await serve(({ headers }, response) => {
      asked.push(headers.authorization);
      response.writeHead(401, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ error }));
    });
    await expect(shownOnce(baseUrl, { apiKey: 'qarr-mine' })).rejects.toThrow(
      `${baseUrl} does not know the API key of QARR_API_KEY, or it was revoked or has expired: set another one`,
    );
    await expect(shownOnce(baseUrl)).rejects.toThrow(
      `${baseUrl} asks for an API key: set QARR_API_KEY`,
    );
    expect(asked).toEqual(['Bearer qarr-mine', undefined]);
  });

  test('says what to do when nobody listens', async () => {
    const baseUrl = await answering({});
    server?.close();
    await expect(shownOnce(baseUrl)).rejects.toThrow(
      `no answer from ${baseUrl} (nobody listens there); start the API (npm start), or name another one with --url`,
    );
  });

  test('takes no endless answer', async () => {
    const baseUrl = await serve((_request, response) => {
      const more = () => void (response.destroyed || response.write('x'.repeat(65_536), more));
      more();
    });
    await expect(shownOnce(baseUrl)).rejects.toThrow('has no end');
  });

  test('rewrites the table in place, and says when it is not up to date', async () => {
    let asked = 0;
    const enough = Promise.withResolvers<void>();
    const baseUrl = await serve((_request, response) => {
      asked += 1;
      if (asked === 4) enough.resolve();
      const tiers = [{ ...OLD, depth: asked }];
      response.writeHead(asked === 2 ? 500 : 200).end(JSON.stringify({ tiers }));
    });
    const { stdout, style, shown } = terminal({ rows: 3 });
    const stopping = new AbortController();
    const watching = watchTiers({
      baseUrl,
      apiKey: undefined,
      stdout,
      style,
      signal: stopping.signal,
      everyMs: 5,
    });
    await enough.promise;
    stopping.abort();
    await watching;
    const [begin, first, second, third] = visible(shown()).split('<[H');
    expect(begin).toBe('<[?25l<[?7l<[2J');
    expect(first).toMatch(/^TIER .*<\[K\nprecise {2}1 .*<\[K\n<\[J$/);
    expect(second).toMatch(/^not up to date: .* answered 500<\[K\nTIER .*<\[K\n<\[J$/);
    expect(third).toMatch(/^TIER .*\nprecise {2}3 /);
    expect(visible(shown())).toMatch(/<\[\?25h<\[\?7h$/);
  });

  test('asks the API that is named, or the one that was started here', () => {
    expect(readApiUrl({ given: undefined, env: {} })).toBe('http://127.0.0.1:8080');
    expect(readApiUrl({ given: undefined, env: { PORT: '81' } })).toBe('http://127.0.0.1:81');
    expect(readApiUrl({ given: 'https://qarr.example/x/', env: {} })).toBe(
      'https://qarr.example/x',
    );
    for (const given of ['ftp://x', 'x', 'http://', 'http://me:secret@x']) {
      expect(() => readApiUrl({ given, env: {} })).toThrow(/^--url must (?!.*secret)/);
    }
  });
});
