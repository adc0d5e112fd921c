import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from './config.ts';
import { planEngineFault, type ServerFaults } from './faults/engine-faults.ts';
import { createFaults } from './faults/faults.ts';
import { createRequestLog } from './http/request-log.ts';
import { type Incarnation, startIncarnation } from './incarnation.ts';

/** How long a vLLM with a dead engine still answers: the period of its watchdog. */
const DEATH_MS = 5_000;

/** A simulator that listens. */
export type Simulator = {
  readonly url: string;
  /**
   * Like vLLM on SIGTERM: answers in progress may go on for the shutdown timeout, and are aborted
   * at once where that is 0; then the connections close, half a second later at the latest.
   * Idempotent.
   */
  stop(): Promise<void>;
  /** Resolves when it is gone, by `stop` or by a fault; rejects when it could not come back. */
  readonly gone: Promise<void>;
};

/**
 * Starts a simulator. A fault may end its server, or put another in its place on the same port: the
 * faults' rules and counts and the log of requests go on, engine, metrics and connections do not.
 *
 * @throws the listen error, such as EADDRINUSE
 */
export async function startSimulator(config: Config): Promise<Simulator> {
  const requestLog = createRequestLog();
  const faults = createFaults({
    seed: config.seed,
    requestLog,
    planEngineFault: (fault) =>
      planEngineFault(fault, { engine: current.engine, server: serverFaults }),
  });
  const lasting = { requestLog, faults };
  const ending = new AbortController();
  const gone = Promise.withResolvers<void>();
  gone.promise.catch(() => {
    // Whoever waits for it is told; nobody has to wait.
  });
  /** Restarts and ends, one after the other. */
  let changes = Promise.resolve();
  let current: Incarnation = await startIncarnation(config, lasting);
  const { port } = current;

  const serverFaults: ServerFaults = {
    refuseConnections(ms) {
      const refusing = current;
      refusing.refuse();
      void after(ms, refusing.accept);
    },
    endAfterDeath() {
      const dying = current;
      void after(DEATH_MS * config.timeScale, () =>
        change(async () => (dying === current ? end(dying.kill) : undefined)),
      );
    },
    shutDown({ drainMs }) {
      change(async () => {
        if (drainMs !== undefined) await Promise.race([current.drain(drainMs), stopped()]);
        await end(current.end);
      });
    },
    restart({ downMs, modelName }) {
      change(async () => {
        if (ending.signal.aborted) return;
        await current.kill();
        if (!(await later(downMs))) return;
        const modelNames = modelName === undefined ? config.modelNames : ([modelName] as const);
        current = await startIncarnation({ ...config, port, modelNames }, lasting);
      });
    },
  };

  function change(task: () => Promise<void>): void {
    changes = changes.then(task).catch(gone.reject);
  }

  async function end(endCurrent: () => Promise<void>): Promise<void> {
    ending.abort();
    await endCurrent();
    gone.resolve();
  }

  async function after(ms: number, task: () => void | Promise<void>): Promise<void> {
    try {
      if (await later(ms)) await task();
    } catch (error) {
      gone.reject(error);
    }
  }

  /** True after `ms`; false as soon as the simulator ends. */
  async function later(ms: number): Promise<boolean> {
    await sleep(ms, undefined, { signal: ending.signal }).catch(() => {
      // Ending: the answer is false.
    });
    return !ending.signal.aborted;
  }

  async function stopped(): Promise<void> {
    await new Promise((resolve) => {
      ending.signal.addEventListener('abort', resolve, { once: true });
    });
  }

  for (const rule of config.faults) {
    const added = faults.add(rule);
    if (added === 'full') {
      await current.kill();
      throw new Error(`--fault "${rule.fault.name}" is one rule too many`);
    }
    // A fault of the engine that no request has to bring about happens at once.
    if (added.kind === 'now') added.run();
  }

  return {
    url: urlOf(config.host, port),
    gone: gone.promise,
    stop() {
      ending.abort();
      change(async () => {
        if (config.shutdownTimeoutMs > 0) await current.drain(config.shutdownTimeoutMs);
        await end(current.end);
      });
      return changes;
    },
  };
}

function urlOf(host: string, port: number): string {
  if (host === '0.0.0.0') return `http://127.0.0.1:${port}`;
  if (host === '::') return `http://[::1]:${port}`;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}
