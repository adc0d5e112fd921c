/**
 * Sockets without the HTTP server, which has given them back for an event stream: while that goes on, and
 * after its end until their client's next request, for which the server gets them again.
 */
import type { Socket } from 'node:net';

export interface KeptSockets {
  /** Its stream has ended, and all of it is on its way. */
  keep(socket: Socket): void;
  /** Closes those that wait for a request, and from then on each at the end of its stream. */
  stop(): void;
}

export function createKeptSockets({
  idleMs,
  lend,
}: {
  /** So long a connection may wait for a request. */
  idleMs: number;
  /** Gives one to the HTTP server, with the first bytes of a request. */
  lend: (socket: Socket, first: Buffer) => void;
}): KeptSockets {
  const waiting = new Set<Socket>();
  let isStopped = false;

  function begin(this: Socket, first: Buffer): void {
    forget.call(this);
    this.off('close', forget);
    leaveAlone(this);
    lend(this, first);
  }

  function forget(this: Socket): void {
    waiting.delete(this);
  }

  return {
    keep(socket) {
      if (isStopped) {
        socket.destroySoon();
        return;
      }
      waiting.add(socket);
      socket.setTimeout(idleMs);
      socket.once('data', begin);
      socket.once('close', forget);
    },
    stop() {
      isStopped = true;
      for (const socket of waiting) socket.destroy();
    },
  };
}

/** Nothing is expected from its client but that it leaves, which only shows when it is read. */
export function attend(socket: Socket): void {
  socket.on('end', destroySoon);
  socket.on('timeout', destroy);
  socket.on('error', ignore);
  socket.resume();
}

function leaveAlone(socket: Socket): void {
  socket.setTimeout(0);
  socket.off('end', destroySoon);
  socket.off('timeout', destroy);
  socket.off('error', ignore);
}

// Not closures, of which each of many thousand streams would have its own.
function destroySoon(this: Socket): void {
  this.destroySoon();
}

function destroy(this: Socket): void {
  this.destroy();
}

/** An error is followed by a close, which is what counts. */
function ignore(): void {}
