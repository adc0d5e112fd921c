/** Asks a Redis whether it serves, without a client library: the CLI needs one answer only. */
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

const DEFAULT_PORT = 6379;
/** Redis's errors are short lines; more is not Redis. */
const ANSWER_CHARS_MAX = 4096;

/** Resolves with null when it answers PONG, else with what is wrong, in a few words. */
export function pingRedis({
  url,
  timeoutMs,
  signal,
}: {
  url: string;
  timeoutMs: number;
  signal: AbortSignal;
}): Promise<string | null> {
  const { protocol, hostname, port, username, password } = new URL(url);
  // URL keeps the brackets of an IPv6 address, which no resolver knows.
  const host = hostname.replaceAll(/^\[|\]$/g, '');
  const address = { host, port: port === '' ? DEFAULT_PORT : Number(port) };
  const commands = [
    ...(password === ''
      ? []
      : [['AUTH', ...(username === '' ? [] : [username]), password].map(decodeURIComponent)]),
    ['PING'],
  ];
  return new Promise((resolve) => {
    const socket: Socket =
      protocol === 'rediss:' ? connectTls({ ...address, servername: host }) : connect(address);
    let answer = '';
    const finish = (problem: string | null) => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      socket.destroy();
      resolve(problem);
    };
    const timer = setTimeout(() => finish(`no answer within ${timeoutMs / 1000} s`), timeoutMs);
    const onAbort = () => finish('interrupted');
    signal.addEventListener('abort', onAbort, { once: true });
    socket.setEncoding('utf8');
    socket.once('error', (error) => finish(error.message || 'connection refused'));
    socket.once('close', () => finish('the connection was closed'));
    socket.on('data', (chunk: string) => {
      answer += chunk;
      const lines = answer.split('\r\n').slice(0, -1);
      const refusal = lines.find((line) => line.startsWith('-'));
      if (refusal !== undefined) finish(refusal.slice(1));
      else if (lines.length === commands.length) finish(lastLineProblem(lines));
      else if (answer.length > ANSWER_CHARS_MAX) finish('it does not speak the protocol of Redis');
    });
    socket.write(commands.map(encodeCommand).join(''));
  });
}

function lastLineProblem(lines: readonly string[]): string | null {
  return lines.at(-1) === '+PONG' ? null : 'it does not speak the protocol of Redis';
}

/** RESP: an array of bulk strings, whose lengths count bytes. */
function encodeCommand(words: readonly string[]): string {
  const bulks = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`);
  return `*${words.length}\r\n${bulks.join('')}`;
}
