import { buildApp } from './app.ts';
import type { Config } from './config.ts';
import { createEngine } from './engine/engine.ts';
import { trackOpenResponses } from './http/open-responses.ts';
import { createEngineMetrics } from './metrics/engine-metrics.ts';

/** vLLM's block size; the KV cache is handed out in blocks of so many tokens. */
const BLOCK_TOKENS = 16;
/** How long the last bytes of aborted answers may take to leave. */
const CLOSE_TIMEOUT_MS = 500;

/** A simulator that listens. */
export type Simulator = {
  readonly url: string;
  /**
   * Like vLLM on SIGTERM with its default shutdown timeout of 0: running answers end with finish
   * reason `abort`, then the connections close, half a second later at the latest. Idempotent.
   */
  stop(): Promise<void>;
};

/** @throws the listen error, such as EADDRINUSE */
export async function startSimulator(config: Config): Promise<Simulator> {
  const { profile } = config;
  const metrics = createEngineMetrics();
  const engine = createEngine({ ...config, metrics, now: () => performance.now() });
  const app = buildApp({
    ...config,
    engine,
    metrics,
    model: {
      names: config.modelNames,
      modelLenMax: config.modelLenMax,
      created: Math.floor(Date.now() / 1000),
    },
    cache: {
      blockTokens: BLOCK_TOKENS,
      kvTokensMax: profile.kvTokensMax,
      modelLenMax: config.modelLenMax,
    },
  });
  const responses = trackOpenResponses(app.server);
  const url = await app.listen({ host: config.host, port: config.port });

  async function close(): Promise<void> {
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
