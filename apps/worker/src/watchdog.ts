/** Watches one request: what it waits for, and for how long. */
import type { EngineTimeouts } from './config.ts';

export interface Watchdog {
  sawHeaders(): void;
  sawChunk(chunk: { hasText: boolean }): void;
  stop(): void;
}

/**
 * Waits for headers, then for the first text (both since the request), then for each next chunk:
 * comments keep a connection alive, they do not say that the engine is.
 *
 * Connecting has a timeout of its own, and the whole run has its deadline in the caller's signal.
 */
export function createWatchdog(
  { headersMs, firstTokenMs, idleMs }: EngineTimeouts,
  onTimeout: (phase: 'headers' | 'first token' | 'idle', ms: number) => void,
): Watchdog {
  const headers = setTimeout(() => onTimeout('headers', headersMs), headersMs);
  const firstToken = setTimeout(() => onTimeout('first token', firstTokenMs), firstTokenMs);
  let idle: NodeJS.Timeout | null = null;

  return {
    sawHeaders() {
      clearTimeout(headers);
    },
    sawChunk({ hasText }) {
      idle?.refresh();
      if (!hasText || idle !== null) return;
      clearTimeout(firstToken);
      idle = setTimeout(() => onTimeout('idle', idleMs), idleMs);
    },
    stop() {
      clearTimeout(headers);
      clearTimeout(firstToken);
      if (idle !== null) clearTimeout(idle);
    },
  };
}
