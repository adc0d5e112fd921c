import { buildApp } from './app.ts';
import type { Config } from './config.ts';
import { systemClock } from './engine/clock.ts';
import { createEngine } from './engine/engine.ts';
import { BLOCK_TOKENS } from './engine/prefix-hashes.ts';
import { trackOpenResponses } from './http/open-responses.ts';
import { createEngineMetrics } from './metrics/engine-metrics.ts';

/** How long the last bytes of aborted answers may take to leave. */
const CLOSE_TIMEOUT_MS = 500;

/** A simulator that listens. */
export type Simulator = {
  readonly url: string;
  /**
   * Like vLLM on SIGTERM: answers in progress may go on for the shutdown timeout, and are aborted
   * at once where that is 0; then the connections close, half a second later at the latest.
   * Idempotent.
   */
  stop(): Promise<void>;
};

/** @throws the listen error, such as EADDRINUSE */
export async function startSimulator(config: Config): Promise<Simulator> {
  const { modelLenMax } = config;
  const metrics = createEngineMetrics({ modelLenMax, startedAtMs: Date.now() });
  const engine = createEngine({ ...config, metrics, clock: systemClock });
  const app = buildApp({
    ...config,
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
  const responses = trackOpenResponses(app.server);
  const url = await app.listen({ host: config.host, port: config.port });

  async function close(): Promise<void> {
    if (config.shutdownTimeoutMs > 0) await engine.drain(config.shutdownTimeoutMs);
    engine.stop();
    const closed = app.close();
    await responses.drained(CLOSE_TIMEOUT_MS);
    // Idle connections, and those of readers too slow to take the end of their answer.
    app.server.closeAllConnections();
    await closed;
  }

  let closing: Promise<void> | undefined;
  return {
    url,
    stop() {
      closing ??= close();
      return closing;
    },
  };
}
