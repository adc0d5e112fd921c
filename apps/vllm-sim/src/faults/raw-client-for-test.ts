import { connect, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';

/** What came back over a connection of its own, down to its chunks. */
export type RawAnswer = {
  /** The bytes as they came. */
  readonly bytes: Buffer;
  /** Undefined before the headers. */
  readonly status: number | undefined;
  readonly interim: readonly number[];
  readonly headers: Readonly<Record<string, string>>;
  /** With the chunked encoding taken off, as far as it came. */
  readonly body: Buffer;
  readonly chunks: readonly Buffer[];
  /** How the connection ended, or `open`. */
  readonly end: 'open' | 'complete' | 'incomplete' | 'reset';
};

export type RawExchange = {
  /** What has come so far. */
  soFar(): RawAnswer;
  /** All of it, when the connection has ended. */
  whole: Promise<RawAnswer>;
  leave(): void;
};

/** One request over plain TCP, by nothing but node:net: no client hides what the server does. */
export function sendRaw(
  url: string,
  request: { path: string; body?: object; headers?: Readonly<Record<string, string>> },
): RawExchange {
  const { hostname, port } = new URL(url);
  const socket: Socket = connect(Number(port), hostname);
  onTestFinished(() => void socket.destroy());
  const body = request.body === undefined ? '' : JSON.stringify(request.body);
  const headers = {
    host: hostname,
    connection: 'close',
    'content-type': 'application/json',
    'content-length': String(Buffer.byteLength(body)),
    ...request.headers,
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const method = request.body === undefined ? 'GET' : 'POST';
  socket.write(`${method} ${request.path} HTTP/1.1\r\n${lines.join('')}\r\n${body}`);

  const received: Buffer[] = [];
  let ended: 'open' | 'closed' | 'reset' = 'open';
  socket.on('data', (bytes: Buffer) => received.push(bytes));
  const whole = new Promise<RawAnswer>((resolve) => {
    socket.on('error', () => (ended = 'reset'));
    socket.on('close', () => {
      if (ended === 'open') ended = 'closed';
      resolve(parse(Buffer.concat(received), ended));
    });
  });
  return {
    soFar: () => parse(Buffer.concat(received), ended),
    whole,
    leave: () => void socket.destroy(),
  };
}

function parse(bytes: Buffer, ended: 'open' | 'closed' | 'reset'): RawAnswer {
  const interim: number[] = [];
  let rest = bytes;
  for (;;) {
    const split = rest.indexOf('\r\n\r\n');
    const head = split < 0 ? '' : rest.subarray(0, split).toString('latin1');
    const status = split < 0 ? undefined : Number(head.split(' ')[1]);
    rest = rest.subarray(split + 4);
    if (status !== undefined && status < 200) {
      interim.push(status);
      continue;
    }
    const headers = status === undefined ? {} : headersOf(head);
    const { chunks, isComplete } = bodyOf(status === undefined ? Buffer.alloc(0) : rest, headers);
    const closed = status !== undefined && isComplete ? 'complete' : 'incomplete';
    return {
      bytes,
      status,
      interim,
      headers,
      body: Buffer.concat(chunks),
      chunks,
      end: ended === 'closed' ? closed : ended,
    };
  }
}

function headersOf(head: string): Record<string, string> {
  const lines = head.split('\r\n').slice(1);
  return Object.fromEntries(
    lines.map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const;
    }),
  );
}

function bodyOf(
  bytes: Buffer,
  headers: Readonly<Record<string, string>>,
): { chunks: Buffer[]; isComplete: boolean } {
  if (headers['transfer-encoding'] !== 'chunked') {
    return { chunks: [bytes], isComplete: bytes.length === Number(headers['content-length']) };
  }
  const chunks: Buffer[] = [];
  let at = 0;
  for (;;) {
    const line = bytes.indexOf('\r\n', at);
    if (line < 0) return { chunks, isComplete: false };
    const size = Number.parseInt(bytes.toString('latin1', at, line), 16);
    if (size === 0) return { chunks, isComplete: true };
    const chunk = bytes.subarray(line + 2, line + 2 + size);
    chunks.push(chunk);
    if (chunk.length < size) return { chunks, isComplete: false };
    at = line + 2 + size + 2;
  }
}
