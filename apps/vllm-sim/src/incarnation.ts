import { once } from 'node:events';
import { buildApp } from './app.ts';
import type { Config } from './config.ts';
import { systemClock } from './engine/clock.ts';
import { createEngine } from './engine/engine.ts';
import { BLOCK_TOKENS } from './engine/prefix-hashes.ts';
import type { EngineFaults } from './faults/engine-faults.ts';
import type { Faults } from './faults/faults.ts';
import { trackOpenResponses } from './http/open-responses.ts';
import type { RequestLog } from './http/request-log.ts';
import { createEngineMetrics } from './metrics/engine-metrics.ts';

/** How long the last bytes of aborted answers may take to leave. */
const CLOSE_TIMEOUT_MS = 500;

/** One life of the server, from its start to its end: what is one process of vLLM. */
export type Incarnation = {
  readonly engine: EngineFaults;
  readonly port: number;
  /** Stops to listen; connections in use go on. Idempotent. */
  refuse(): void;
  /** Listens again on its port, unless it has ended. @throws the listen error */
  accept(): Promise<void>;
  /** Lets what runs finish within `timeoutMs`; what comes now is aborted. */
  drain(timeoutMs: number): Promise<void>;
  /**
   * The orderly end: running answers end with finish reason `abort`, then the connections close,
   * half a second later at the latest. Idempotent, and so is `kill`; the first of them counts.
   */
  end(): Promise<void>;
  /** The end of a killed process: every connection closes where it is. */
  kill(): Promise<void>;
};

/** @throws the listen error, such as EADDRINUSE */
export async function startIncarnation(
  config: Config,
  deps: { requestLog: RequestLog; faults: Faults },
): Promise<Incarnation> {
  const { modelLenMax } = config;
  const metrics = createEngineMetrics({ modelLenMax, startedAtMs: Date.now() });
  const engine = createEngine({ ...config, metrics, clock: systemClock });
  const app = buildApp({
    ...config,
    ...deps,
    engine,
    metrics,
    model: {
      names: config.modelNames,
      modelLenMax,
      created: Math.floor(Date.now() / 1000),
    },
    cache: {
      blockTokens: BLOCK_TOKENS,
      kvTokensMax: config.kvBlocks * BLOCK_TOKENS,
      modelLenMax,
      prefixCaching: config.prefixCaching,
    },
  });
  const { server } = app;
  const responses = trackOpenResponses(server);
  // Not by the app, which could not listen a second time.
  await app.ready();
  const port = await listen(config.port);
  let closing: Promise<void> | undefined;

  async function listen(onPort: number): Promise<number> {
    server.listen({ host: config.host, port: onPort });
    await once(server, 'listening');
    const address = server.address();
    return typeof address === 'object' && address !== null ? address.port : onPort;
  }

  function refuse(): void {
    if (server.listening) server.close();
  }

  async function endAll(): Promise<void> {
    engine.stop();
    refuse();
    await responses.drained(CLOSE_TIMEOUT_MS);
    // Idle connections, and those of readers too slow to take the end of their answer.
    server.closeAllConnections();
    await app.close();
  }

  async function cutAll(): Promise<void> {
    refuse();
    deps.requestLog.cutAll();
    server.closeAllConnections();
    engine.stop();
    await app.close();
  }

  return {
    engine,
    port,
    refuse,
    async accept() {
      if (closing === undefined && !server.listening) await listen(port);
    },
    async drain(timeoutMs) {
      await engine.drain(timeoutMs);
    },
    end() {
      closing ??= endAll();
      return closing;
    },
    kill() {
      closing ??= cutAll();
      return closing;
    },
  };
}
