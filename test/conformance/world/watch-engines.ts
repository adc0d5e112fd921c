/** What the engines have seen, those included that do not live to be asked in the end. */
import { setTimeout as sleep } from 'node:timers/promises';
import { waitUntil } from '../../harness/wait-until.ts';
import type { Engine, SeenRequest } from './engine.ts';

const WATCH_EVERY_MS = 100;
/** Longer than an engine is away that comes back. */
const LAST_LOOK_MS = 20_000;

export interface SeenByEngines {
  readonly requests: readonly SeenRequest[];
  /** How often a fault took effect, by the request id that it was meant for. */
  readonly injections: Map<string, number>;
}

export interface EngineWatch {
  /** Looks at once. */
  look(): Promise<void>;
  /** Looks once more. Idempotent. */
  stop(): Promise<SeenByEngines>;
}

export function watchEngines(engines: readonly Engine[]): EngineWatch {
  const watches = engines.map(watchEngine);
  return {
    look: async () => void (await Promise.all(watches.map((watch) => watch.look()))),
    async stop() {
      const seen = await Promise.all(watches.map((watch) => watch.stop()));
      const injections = new Map<string, number>();
      for (const { when, injected } of seen.flatMap(({ rules }) => rules)) {
        const name = when.header?.value ?? '';
        injections.set(name, (injections.get(name) ?? 0) + injected);
      }
      return { requests: seen.flatMap(({ requests }) => requests), injections };
    },
  };
}

function watchEngine(engine: Engine) {
  const stopping = new AbortController();
  let requests: readonly SeenRequest[] = [];
  let rules: Awaited<ReturnType<Engine['rules']>> = [];

  async function look(): Promise<boolean> {
    try {
      requests = (await engine.state()).recent;
      rules = await engine.rules();
      return true;
    } catch {
      // It takes no connections: if it is gone, what it said before stands.
      return engine.isGone;
    }
  }

  async function lookUntilStopped(): Promise<void> {
    while (!stopping.signal.aborted) {
      await look();
      await sleep(WATCH_EVERY_MS, null, { signal: stopping.signal }).catch(() => {});
    }
  }

  const looking = lookUntilStopped();
  return {
    look,
    async stop() {
      stopping.abort();
      await looking;
      await waitUntil('an engine tells what it has seen', look, { timeoutMs: LAST_LOOK_MS });
      return { requests, rules };
    },
  };
}
