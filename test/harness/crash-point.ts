/**
 * A way to Redis that ends after so many commands: a process that uses it is as good as killed
 * between two of its writes. What it sent before has been carried out, whatever it knows of it.
 *
 * It may lead to a cluster of one node, which then tells its clients that its port is that of this way.
 */
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

interface CrashPoint {
  readonly url: string;
  /** Lets so many more commands pass; then nothing passes any more. */
  crashAfter(commands: number): void;
  readonly crashed: Promise<void>;
  /** Afterwards all that it let pass has been carried out. */
  stop(): Promise<void>;
}

/** Opens something that has such a way to Redis, and lets it act until it is cut off. */
export async function actAndDie<Dying extends { stop(): Promise<void> }>({
  redisUrl,
  open,
  commands,
  act,
}: {
  redisUrl: string;
  open: (redisUrl: string) => Promise<Dying>;
  /** That are carried out before. */
  commands: number;
  act: (dying: Dying) => Promise<unknown>;
}): Promise<void> {
  const point = await createCrashPoint(redisUrl);
  const dying = await open(point.url);
  point.crashAfter(commands);
  // It may never be answered: a worker waits for Redis for ever.
  const acted = act(dying).catch(() => {});
  await Promise.race([acted, point.crashed]);
  await point.stop();
  await dying.stop();
}

async function createCrashPoint(redisUrl: string): Promise<CrashPoint> {
  const [, cluster = '', port = ''] = /^redis(\+cluster)?:\/\/[^:]+:(\d+)/.exec(redisUrl) ?? [];
  const clients = new Set<Socket>();
  const upstreams = new Set<Promise<void>>();
  let left = Number.POSITIVE_INFINITY;
  const crashed = Promise.withResolvers<void>();
  let isOver = false;

  function crash(): void {
    isOver = true;
    crashed.resolve();
    for (const client of clients) client.destroy();
  }

  const server = createServer((client) => {
    if (isOver) {
      client.destroy();
      return;
    }
    const upstream = connect(Number(port), '127.0.0.1');
    let waiting = Buffer.alloc(0);
    clients.add(client);
    for (const socket of [client, upstream]) socket.setNoDelay(true).on('error', () => {});
    upstreams.add(new Promise((resolve) => upstream.on('close', () => resolve())));
    upstream.on('close', () => client.destroy());
    client.on('close', () => {
      clients.delete(client);
      // What was let through shall arrive, and what is answered to it nobody reads.
      upstream.removeAllListeners('data').resume().end();
    });
    // Too small for a reply of slots to come in two pieces.
    upstream.on('data', (bytes: Buffer) => {
      const isSlots = cluster !== '' && bytes.includes(`:${port}\r\n`);
      const text = isSlots ? bytes.toString('latin1') : '';
      const told = text.replaceAll(`:${port}\r\n`, `:${ownPort}\r\n`);
      client.write(isSlots ? Buffer.from(told, 'latin1') : bytes);
    });
    client.on('data', (bytes: Buffer) => {
      waiting = Buffer.concat([waiting, bytes]);
      for (let end = endOfCommand(waiting); end !== null; end = endOfCommand(waiting)) {
        if (left === 0) {
          crash();
          return;
        }
        left -= 1;
        upstream.write(waiting.subarray(0, end));
        waiting = waiting.subarray(end);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const ownPort = (server.address() as AddressInfo).port;

  return {
    url: `redis${cluster}://127.0.0.1:${ownPort}`,
    crashAfter: (commands) => void (left = commands),
    crashed: crashed.promise,
    async stop() {
      crash();
      await new Promise((resolve) => server.close(resolve));
      await Promise.all(upstreams);
    },
  };
}

/** Where the first command ends: a list of counted strings. Null where it is not whole yet. */
function endOfCommand(bytes: Buffer): number | null {
  const first = lineAt(bytes, 0);
  if (first === null) return null;
  let at = first.end;
  for (let argument = 0; argument < first.number; argument += 1) {
    const length = lineAt(bytes, at);
    if (length === null) return null;
    at = length.end + length.number + 2;
  }
  return at <= bytes.length ? at : null;
}

/** A line such as `$12`. */
function lineAt(bytes: Buffer, at: number): { number: number; end: number } | null {
  const end = bytes.indexOf('\r\n', at);
  if (end === -1) return null;
  return { number: Number(bytes.toString('latin1', at + 1, end)), end: end + 2 };
}
