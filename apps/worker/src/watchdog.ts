/** Watches one request: what it waits for, and for how long. */
import type { EngineTimeouts } from './config.ts';

export type Phase = 'headers' | 'first token' | 'idle' | 'minimum rate';

export interface Watchdog {
  sawHeaders(): void;
  /** `tokens` is at least what the chunk holds of the answer. */
  sawChunk(chunk: { tokens: number }): void;
  stop(): void;
}

/**
 * Waits for headers, then for the first token (both since the request), then for each next chunk:
 * comments keep a connection alive, they do not say that the engine is. From the first token on, the
 * tokens of each window of time must reach a minimum: an engine that drips is as good as dead.
 *
 * Connecting has a timeout of its own, and the whole run has its deadline in the caller's signal.
 */
export function createWatchdog(
  { headersMs, firstTokenMs, idleMs, rateWindowMs, tokensPerWindowMin }: EngineTimeouts,
  onTimeout: (phase: Phase, ms: number) => void,
): Watchdog {
  const headers = setTimeout(() => onTimeout('headers', headersMs), headersMs);
  const firstToken = setTimeout(() => onTimeout('first token', firstTokenMs), firstTokenMs);
  let idle: NodeJS.Timeout | null = null;
  let rate: NodeJS.Timeout | undefined;
  let tokensInWindow = 0;

  function checkRate(): void {
    if (tokensInWindow < tokensPerWindowMin) onTimeout('minimum rate', rateWindowMs);
    tokensInWindow = 0;
  }

  return {
    sawHeaders() {
      clearTimeout(headers);
    },
    sawChunk({ tokens }) {
      tokensInWindow += tokens;
      idle?.refresh();
      if (tokens === 0 || idle !== null) return;
      clearTimeout(firstToken);
      idle = setTimeout(() => onTimeout('idle', idleMs), idleMs);
      rate = setInterval(checkRate, rateWindowMs);
    },
    stop() {
      clearTimeout(headers);
      clearTimeout(firstToken);
      clearInterval(rate);
      if (idle !== null) clearTimeout(idle);
    },
  };
}
