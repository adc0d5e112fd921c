/**
 * Bodies that are still arriving: nobody holds a connection by sending slowly. Node watches over the
 * headers only, because its limit for whole requests knows no exceptions, and a large file takes its
 * time on any line.
 */
import type { IncomingMessage } from 'node:http';

/** How long a body may take that is expected to be large. */
interface ArrivalLimits {
  /** Without a byte, while we would have taken one. */
  readonly idleMs: number;
  readonly totalMs: number;
}

export interface Arrivals {
  watch(request: IncomingMessage): void;
  /** Other limits than those of all requests. */
  allow(request: IncomingMessage, limits: ArrivalLimits): void;
  forget(request: IncomingMessage): void;
}

interface Arrival {
  readonly beganMs: number;
  totalMs: number;
  idleMs: number;
  bytesSeen: number;
  seenMs: number;
}

export function createArrivals({
  timeoutMs,
  checkMs,
  onLate,
  nowMs = () => performance.now(),
}: {
  timeoutMs: number;
  checkMs: number;
  /** It is not watched any more. */
  onLate: (request: IncomingMessage) => void;
  nowMs?: () => number;
}): Arrivals {
  const arriving = new Map<IncomingMessage, Arrival>();
  let checking: NodeJS.Timeout | null = null;

  function check(): void {
    const now = nowMs();
    for (const [request, arrival] of arriving) {
      if (request.complete || request.destroyed) arriving.delete(request);
      else if (isLate(request, arrival, now)) {
        arriving.delete(request);
        onLate(request);
      }
    }
    if (arriving.size > 0 || checking === null) return;
    clearInterval(checking);
    checking = null;
  }

  return {
    watch(request) {
      const beganMs = nowMs();
      arriving.set(request, {
        beganMs,
        totalMs: timeoutMs,
        idleMs: timeoutMs,
        bytesSeen: request.socket.bytesRead,
        seenMs: beganMs,
      });
      checking ??= setInterval(check, checkMs);
    },
    allow(request, { idleMs, totalMs }) {
      const arrival = arriving.get(request);
      if (arrival !== undefined) Object.assign(arrival, { idleMs, totalMs });
    },
    forget: (request) => void arriving.delete(request),
  };
}

function isLate(request: IncomingMessage, arrival: Arrival, now: number): boolean {
  const { bytesRead } = request.socket;
  // What has arrived and was not taken yet is no fault of its client.
  if (bytesRead !== arrival.bytesSeen || request.readableLength > 0) {
    arrival.bytesSeen = bytesRead;
    arrival.seenMs = now;
  }
  return now - arrival.beganMs > arrival.totalMs || now - arrival.seenMs > arrival.idleMs;
}
