/** What a worker asks an engine besides running jobs on it: all the I/O of an upstream's life. */
import type { ChatAnswer } from './chat-probe.ts';
import { askForToken } from './chat-probe.ts';
import { DESCRIBE_TIMEOUT_MS, describe, identify } from './describe.ts';
import type { Described } from './describe.ts';
import { readEngineMetrics } from './engine-metrics.ts';
import type { EngineMetrics } from './engine-metrics.ts';
import { createExchanges } from './exchange.ts';
import { causeOf, warmUp } from './warm-up.ts';
import type { Warmed } from './warm-up.ts';

/** Below the second between two scrapes. */
const SCRAPE_TIMEOUT_MS = 900;
const PAGE_BYTES_MAX = 2_097_152;

type Canary =
  | { kind: 'answered' }
  | { kind: 'lost'; cause: string }
  | { kind: 'failed'; cause: string };

export type Scrape =
  | { kind: 'scraped'; metrics: EngineMetrics }
  /** It has no such page. */
  | { kind: 'none' }
  /** Not the same as zero. */
  | { kind: 'unknown' }
  | { kind: 'unreachable'; cause: string };

/** None of these rejects. */
export interface Probe {
  describe(signal: AbortSignal): Promise<Described>;
  /** `isCareful`: with one request at a time. */
  warmUp(of: {
    model: string;
    version: string | null;
    isCareful: boolean;
    signal: AbortSignal;
    onFailure: (cause: string) => void;
  }): Promise<Warmed>;
  /** `expected` is the model that it must still serve; null where none is known. */
  canary(of: { model: string; expected: string | null; signal: AbortSignal }): Promise<Canary>;
  scrape(signal: AbortSignal): Promise<Scrape>;
  stop(): Promise<void>;
}

export function createProbe({
  baseUrl,
  apiKey,
  connectMs,
  warmupRequests,
  canaryTimeoutMs,
}: {
  /** Without a final `/v1`. */
  baseUrl: string;
  apiKey: string | undefined;
  connectMs: number;
  warmupRequests: number;
  canaryTimeoutMs: number;
}): Probe {
  const exchanges = createExchanges({ baseUrl, apiKey, connectMs });
  return {
    describe: (signal) => describe(exchanges, { signal }),
    warmUp: (of) => warmUp(exchanges, { ...of, requests: warmupRequests }),

    async canary({ model, expected, signal }) {
      const [answer, described] = await Promise.all([
        askForToken(exchanges, { model, timeoutMs: canaryTimeoutMs, signal }),
        describe(exchanges, {
          signal,
          timeoutMs: Math.min(canaryTimeoutMs, DESCRIBE_TIMEOUT_MS),
        }),
      ]);
      if (described.kind === 'described') {
        const identified = identify(described.description, expected);
        if (identified.kind === 'other model') return { kind: 'lost', cause: identified.cause };
      }
      return verdictOf(answer);
    },

    async scrape(signal) {
      const options = { timeoutMs: SCRAPE_TIMEOUT_MS, bytesMax: PAGE_BYTES_MAX, signal };
      const exchange = await exchanges.send('/metrics', options);
      if (exchange.kind === 'unreachable') return exchange;
      if (exchange.kind === 'broken') return { kind: 'unknown' };
      if (exchange.status === 200) {
        return { kind: 'scraped', metrics: readEngineMetrics(exchange.text) };
      }
      return exchange.status < 500 ? { kind: 'none' } : { kind: 'unknown' };
    },

    stop: () => exchanges.stop(),
  };
}

function verdictOf(answer: ChatAnswer): Canary {
  switch (answer.kind) {
    case 'whole':
      return { kind: 'answered' };
    case 'busy':
      // What a proxy says in place of an engine that is gone is no sign of life.
      return answer.status === 429
        ? { kind: 'answered' }
        : { kind: 'failed', cause: causeOf(answer) };
    case 'unreachable':
      return { kind: 'lost', cause: answer.cause };
    default:
      return { kind: 'failed', cause: causeOf(answer) };
  }
}
