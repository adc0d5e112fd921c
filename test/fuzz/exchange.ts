/** One request on a connection of its own, byte by byte as it was drawn, and its answer. */
import { connect } from 'node:net';
import type { FuzzRequest } from './requests.ts';

/** A stream is left after that: one of a job that never runs would go on for ever. */
const STREAM_MS = 300;

export interface Answer {
  /** `hung`: it neither answered nor closed. `left`: a stream that was still open. */
  readonly end: 'closed' | 'hung' | 'left';
  /** Null: nothing that is HTTP. */
  readonly status: number | null;
  /** By names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

export async function exchange(
  request: Pick<FuzzRequest, 'method' | 'target' | 'headers' | 'body' | 'raw'>,
  /** Whoever has not answered by then hangs. */
  { port, waitMs }: { port: number; waitMs: number },
): Promise<Answer> {
  const over = Promise.withResolvers<Answer['end']>();
  const chunks: Buffer[] = [];
  const socket = connect(port, '127.0.0.1');
  const hung = setTimeout(() => over.resolve('hung'), waitMs);
  let left: NodeJS.Timeout | undefined;
  socket.on('data', (bytes) => {
    chunks.push(bytes);
    if (left === undefined && /content-type: text\/event-stream/i.test(bytes.toString('latin1'))) {
      left = setTimeout(() => over.resolve('left'), STREAM_MS);
    }
  });
  // A reset is a close as well: what has arrived is looked at.
  socket.on('error', () => {});
  socket.on('close', () => over.resolve('closed'));
  socket.write(bytesOf(request));
  const end = await over.promise;
  clearTimeout(hung);
  clearTimeout(left);
  socket.destroy();
  return { end, ...read(Buffer.concat(chunks)) };
}

function bytesOf({ method, target, headers, body, raw }: Parameters<typeof exchange>[0]): Buffer {
  if (raw !== null) return Buffer.from(raw, 'utf8');
  const content = body === null ? Buffer.alloc(0) : Buffer.from(body);
  const lines = [`${method} ${target} HTTP/1.1`];
  const has = (name: string) => headers.some((line) => line.startsWith(`${name}:`));
  if (!has('host')) lines.push('host: localhost');
  if (body !== null && !has('content-length') && !has('transfer-encoding')) {
    lines.push(`content-length: ${content.length}`);
  }
  lines.push('connection: close', ...headers);
  return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`), content]);
}

function read(bytes: Buffer): Omit<Answer, 'end'> {
  const text = bytes.toString('latin1');
  const [start = '', ...lines] = text.split('\r\n\r\n', 1)[0]?.split('\r\n') ?? [];
  const after = text.indexOf('\r\n\r\n') + 4;
  const status = /^HTTP\/1\.1 (\d{3})/.exec(start)?.[1];
  // What a client is told that asks whether it may go on.
  if (status === '100') return read(bytes.subarray(after));
  const headers = new Map(
    lines.map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    }),
  );
  const content = after < 4 ? Buffer.alloc(0) : bytes.subarray(after);
  const whole = headers.get('transfer-encoding') === 'chunked' ? unchunked(content) : content;
  return {
    status: status === undefined ? null : Number(status),
    headers,
    body: whole.toString('utf8'),
  };
}

function unchunked(bytes: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const lineEnd = bytes.indexOf('\r\n', at);
    const length = Number.parseInt(bytes.toString('latin1', at, lineEnd), 16);
    if (lineEnd === -1 || !(length > 0)) break;
    parts.push(bytes.subarray(lineEnd + 2, lineEnd + 2 + length));
    at = lineEnd + 2 + length + 2;
  }
  return Buffer.concat(parts);
}
