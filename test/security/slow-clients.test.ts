/**
 * Slowloris and its relatives: clients that hold connections by sending too slowly, or too much. They
 * lose them in time, and nobody else notices.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectRaw, postJson, startApiWorld } from '../harness/api.ts';
import type { ApiWorld } from '../harness/api.ts';
import { waitUntil } from '../harness/wait-until.ts';

/** Of each kind, at once. */
const SOCKETS = 150;
const DRIP_MS = 50;
const CHAT = '/v1/chat/completions';
const JSON_HEAD = 'host: localhost\r\ncontent-type: application/json\r\n';

let world: ApiWorld;
beforeAll(async () => {
  world = await startApiWorld({ QARR_REQUEST_TIMEOUT_MS: '1000' });
});
afterAll(() => world.stop());

interface SlowKind {
  readonly name: string;
  readonly first: string;
  /** Sent again and again; null: nothing more comes. */
  readonly drip: string | null;
}

const KINDS: readonly SlowKind[] = [
  { name: 'a request line that does not end', first: 'GET /', drip: 'a' },
  { name: 'headers that go on and on', first: `GET / HTTP/1.1\r\n`, drip: 'x-a: b\r\n' },
  { name: 'headers that stop', first: `POST ${CHAT} HTTP/1.1\r\n${JSON_HEAD}`, drip: null },
  {
    name: 'a body that comes byte by byte',
    first: `POST ${CHAT} HTTP/1.1\r\n${JSON_HEAD}content-length: 100000\r\n\r\n{"prompt":"`,
    drip: 'a',
  },
  {
    name: 'chunks of one byte',
    first: `POST ${CHAT} HTTP/1.1\r\n${JSON_HEAD}transfer-encoding: chunked\r\n\r\n`,
    drip: '1\r\n \r\n',
  },
  {
    name: 'a body that stops',
    first: `POST ${CHAT} HTTP/1.1\r\n${JSON_HEAD}content-length: 9\r\n\r\n`,
    drip: null,
  },
  { name: 'nothing at all', first: '', drip: null },
];

describe('slow clients', () => {
  /** By their kind: what each of them has got when it was disconnected. */
  const got = new Map<string, string[]>();
  let answered = 0;
  let refused = 0;

  beforeAll(async () => {
    const clients = KINDS.flatMap((kind) =>
      Array.from({ length: SOCKETS }, () => ({
        kind,
        raw: connectRaw(world.api.port, kind.first),
      })),
    );
    const dripping = setInterval(() => {
      for (const { kind, raw } of clients) {
        if (kind.drip !== null && raw.socket.writable) raw.socket.write(kind.drip);
      }
    }, DRIP_MS);
    try {
      await waitUntil('all are connected', () =>
        clients.every(({ raw }) => !raw.socket.connecting),
      );
      while (clients.some(({ raw }) => !raw.socket.destroyed)) {
        const response = await postJson(`${world.api.url}/v1/route`, { prompt: 'Hello' });
        if (response.status === 200) answered += 1;
        else refused += 1;
      }
    } finally {
      clearInterval(dripping);
      for (const { raw } of clients) raw.socket.destroy();
    }
    for (const { kind, raw } of clients) {
      got.set(kind.name, [...(got.get(kind.name) ?? []), raw.text]);
    }
  });

  it('do not keep others from being answered', () => {
    expect(answered).toBeGreaterThan(1);
    expect(refused).toBe(0);
  });

  it.each(KINDS.map(({ name }) => name))('with %s are told, and disconnected', (name) => {
    expect(got.get(name)).toHaveLength(SOCKETS);
    for (const text of got.get(name) ?? []) expect(text).toMatch(/^HTTP\/1.1 408 /);
  });
});

describe('what is too large', () => {
  it.each([
    ['a URL', `GET /v1/jobs/${'a'.repeat(20_000)} HTTP/1.1\r\nhost: localhost\r\n\r\n`, 431],
    [
      'a query',
      `GET /v1/jobs?after=${'a'.repeat(20_000)} HTTP/1.1\r\nhost: localhost\r\n\r\n`,
      431,
    ],
    [
      'a header',
      `GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: ${'a'.repeat(20_000)}\r\n\r\n`,
      431,
    ],
    [
      'the name of one',
      `GET /healthz HTTP/1.1\r\nhost: localhost\r\n${'a'.repeat(20_000)}: x\r\n\r\n`,
      431,
    ],
    [
      'many headers',
      `GET /healthz HTTP/1.1\r\nhost: localhost\r\n${'x: y\r\n'.repeat(4_000)}\r\n`,
      431,
    ],
    ['a method', `${'A'.repeat(20_000)} / HTTP/1.1\r\nhost: localhost\r\n\r\n`, 400],
    [
      'a body by its length',
      `POST ${CHAT} HTTP/1.1\r\n${JSON_HEAD}content-length: 99999999999\r\n\r\n{}`,
      413,
    ],
    [
      'a length that is no number',
      `POST ${CHAT} HTTP/1.1\r\n${JSON_HEAD}content-length: ${'9'.repeat(40)}\r\n\r\n{}`,
      400,
    ],
    [
      'a chunk by its length',
      `POST ${CHAT} HTTP/1.1\r\n${JSON_HEAD}transfer-encoding: chunked\r\n\r\n${'f'.repeat(40)}\r\n`,
      400,
    ],
    [
      'an extension of a chunk',
      `POST ${CHAT} HTTP/1.1\r\n${JSON_HEAD}transfer-encoding: chunked\r\n\r\n1;${'a'.repeat(40_000)}\r\n`,
      400,
    ],
    [
      'a trailer',
      `POST ${CHAT} HTTP/1.1\r\n${JSON_HEAD}transfer-encoding: chunked\r\n\r\n0\r\nx: ${'a'.repeat(40_000)}\r\n\r\n`,
      431,
    ],
  ])('%s is answered and not read on', async (_name, bytes, status) => {
    const raw = connectRaw(world.api.port, bytes);
    await raw.until('"error":{"message":"');
    expect(raw.text).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    raw.socket.destroy();
  });
});

describe('what two servers could read as different requests', () => {
  it.each([
    ['a length and chunks', 'content-length: 5\r\ntransfer-encoding: chunked'],
    ['chunks and a length', 'transfer-encoding: chunked\r\ncontent-length: 5'],
    ['two lengths', 'content-length: 5\r\ncontent-length: 6'],
    ['two lengths in one', 'content-length: 5, 6'],
    ['a length with a sign', 'content-length: +5'],
    ['a length in another number', 'content-length: 0x5'],
    ['chunks that are not the last', 'transfer-encoding: chunked, identity'],
    ['chunks in another spelling', 'transfer-encoding: xchunked'],
    ['chunks behind a space', 'transfer-encoding : chunked'],
    ['chunks in a folded line', 'transfer-encoding:\r\n chunked'],
    ['a name with a space', 'x y: z\r\ncontent-length: 5'],
    ['a name with a null', 'x\u0000: z\r\ncontent-length: 5'],
    ['a lone line end', 'x: a\nb: c\r\ncontent-length: 5'],
  ])('is refused, and what follows is no request: %s', async (_name, headers) => {
    const hidden = 'GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n';
    const head = `POST /v1/route HTTP/1.1\r\n${JSON_HEAD}${headers}\r\n\r\n`;
    const raw = connectRaw(world.api.port, `${head}0\r\n\r\n${hidden}`);
    const text = await raw.closed();
    expect(text).toMatch(/^HTTP\/1.1 4\d\d /);
    expect(text.match(/HTTP\/1\.1 /g)).toHaveLength(1);
    expect(text).not.toContain('{"ok":true}');
  });
});

it('a request for two hosts is refused', async () => {
  const request =
    'GET /healthz HTTP/1.1\r\nhost: localhost\r\nhost: y.localhost\r\nconnection: close\r\n\r\n';
  const text = await connectRaw(world.api.port, request).closed();
  expect(text).toMatch(/^HTTP\/1.1 400 /);
  expect(text).toContain('The host header must be given once.');
});

it('a page whose name was made to point here is refused', async () => {
  const request = 'GET /v1/jobs HTTP/1.1\r\nhost: attacker.example\r\nconnection: close\r\n\r\n';
  const text = await connectRaw(world.api.port, request).closed();
  expect(text).toMatch(/^HTTP\/1.1 400 /);
  expect(text).toContain('The host header must be localhost or an address');
});
