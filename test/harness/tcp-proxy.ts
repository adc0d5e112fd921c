/**
 * A TCP proxy on loopback that makes the network between two processes bad, and good again.
 *
 * `up` is from the client to the target, `down` the way back. It holds at most one chunk of each
 * direction of a connection: what it does not let through stays with the sender, as on a real line.
 */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

type Direction = 'up' | 'down';

export type Toxic =
  /** Each chunk comes so much later, or up to twice as much where the next one waits behind it. */
  | { kind: 'latency'; delayMs: number }
  | { kind: 'bandwidth'; bytesPerSecond: number }
  /** Nothing gets through, neither bytes nor an end; connections stay open and new ones are taken. */
  | { kind: 'black_hole'; direction: Direction | 'both' }
  /** Open connections are reset and new ones refused. */
  | { kind: 'refuse' };

export interface TcpProxy {
  readonly port: number;
  /** Adds a toxic, or replaces the one of its kind. Those of several kinds add up. */
  apply(toxic: Toxic): Promise<void>;
  /** Removes all toxics. What was held back is delivered. */
  heal(): Promise<void>;
  /** Resets the connections that are open now; new ones are not hindered. Returns how many. */
  reset(): number;
  readonly counts: Readonly<TcpProxyCounts>;
  stop(): Promise<void>;
}

interface TcpProxyCounts {
  accepted: number;
  open: number;
  reset: number;
  bytesUp: number;
  bytesDown: number;
}

interface Line {
  readonly client: Socket;
  readonly target: Socket;
  readonly broken: AbortController;
}

export async function startTcpProxy({ targetPort }: { targetPort: number }): Promise<TcpProxy> {
  const toxics = new Map<Toxic['kind'], Toxic>();
  const lines = new Set<Line>();
  const counts = { accepted: 0, open: 0, reset: 0, bytesUp: 0, bytesDown: 0 };
  /** Replaced whenever the toxics change: whoever waits looks again. */
  let changed = Promise.withResolvers<void>();

  // Half-open: an end of one direction passes by itself, as through a router.
  const server = createServer({ allowHalfOpen: true }, (client) => {
    const target = connect({ port: targetPort, host: '127.0.0.1', allowHalfOpen: true });
    const line: Line = { client, target, broken: new AbortController() };
    lines.add(line);
    counts.accepted += 1;
    counts.open += 1;
    for (const socket of [client, target]) {
      socket.setNoDelay(true);
      // What breaks on one side breaks on the other; a close follows in any case.
      socket.on('error', () => breakLine(line));
    }
    void Promise.allSettled([carry(line, 'up'), carry(line, 'down')]).then(() => breakLine(line));
  });

  function breakLine(line: Line): void {
    if (!lines.delete(line)) return;
    counts.open -= 1;
    line.broken.abort();
    // A socket whose ends have passed is closed already, and takes no reset.
    line.client.resetAndDestroy();
    line.target.resetAndDestroy();
  }

  /** Rejects when the line breaks. */
  async function carry(line: Line, direction: Direction): Promise<void> {
    const { signal } = line.broken;
    const [from, to] = direction === 'up' ? [line.client, line.target] : [line.target, line.client];
    // The sockets are ended below, not by the iterator.
    for await (const chunk of from.iterator({ destroyOnReturn: false })) {
      const bytes = chunk as Buffer;
      await untilClear(direction, signal);
      await sleep(delayOf(bytes.length), null, { signal });
      // It may have got worse meanwhile.
      await untilClear(direction, signal);
      counts[direction === 'up' ? 'bytesUp' : 'bytesDown'] += bytes.length;
      if (!to.write(bytes)) await once(to, 'drain', { signal });
    }
    await untilClear(direction, signal);
    to.end();
    if (!to.writableFinished) await once(to, 'finish', { signal });
  }

  async function untilClear(direction: Direction, signal: AbortSignal): Promise<void> {
    while (isSwallowed(direction)) {
      signal.throwIfAborted();
      await Promise.race([changed.promise, once(signal, 'abort')]);
    }
    signal.throwIfAborted();
  }

  function isSwallowed(direction: Direction): boolean {
    const hole = toxics.get('black_hole');
    if (hole?.kind !== 'black_hole') return false;
    return hole.direction === 'both' || hole.direction === direction;
  }

  function delayOf(bytes: number): number {
    const latency = toxics.get('latency');
    const bandwidth = toxics.get('bandwidth');
    const delayMs = latency?.kind === 'latency' ? latency.delayMs : 0;
    if (bandwidth?.kind !== 'bandwidth') return delayMs;
    return delayMs + (bytes / bandwidth.bytesPerSecond) * 1_000;
  }

  function wake(): void {
    changed.resolve();
    changed = Promise.withResolvers();
  }

  function reset(): number {
    const open = [...lines];
    counts.reset += open.length;
    for (const line of open) breakLine(line);
    return open.length;
  }

  async function listen(port: number): Promise<void> {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
  }

  async function close(): Promise<void> {
    if (!server.listening) return;
    const closed = once(server, 'close');
    server.close();
    reset();
    await closed;
  }

  await listen(0);
  const { port } = server.address() as AddressInfo;

  return {
    port,
    counts,
    reset,
    async apply(toxic) {
      toxics.set(toxic.kind, toxic);
      if (toxic.kind === 'refuse') await close();
      wake();
    },
    async heal() {
      toxics.clear();
      if (!server.listening) await listen(port);
      wake();
    },
    stop: close,
  };
}
