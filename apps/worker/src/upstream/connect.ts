/** Wires the engines of a worker as its configuration says. */
import type { Logger } from '@qarr/process';
import type { WorkerConfig } from '../config.ts';
import { createEngine } from '../engine.ts';
import { createProbe } from './probe.ts';
import { createServedModel } from './served-model.ts';
import { createUpstream } from './upstream.ts';
import type { Upstream } from './upstream.ts';
import { createUpstreams } from './upstreams.ts';
import type { Upstreams } from './upstreams.ts';

export function connectUpstreams({
  config,
  onChange,
  log,
}: {
  config: WorkerConfig;
  onChange: () => void;
  log: Logger;
}): Upstreams {
  const { tier, concurrency: ceiling, upstreamApiKey: apiKey, timeouts } = config;
  const servedModel = createServedModel(tier.model);
  const fallbackModel = tier.model ?? tier.name;
  const connect = (url: string): Upstream =>
    createUpstream({
      url,
      engine: createEngine({ baseUrl: url, apiKey, timeouts, connections: ceiling }),
      probe: createProbe({
        baseUrl: url,
        apiKey,
        connectMs: timeouts.connectMs,
        warmupRequests: config.warmupRequests,
        canaryTimeoutMs: config.canary.timeoutMs,
      }),
      ceiling,
      canaryEveryMs: config.canary.everyMs,
      rest: config.rest,
      servedModel,
      fallbackModel,
      onChange,
      log,
    });
  const [first, ...others] = config.upstreamUrls;
  const upstreams = [connect(first), ...others.map(connect)] as const;
  return createUpstreams({ upstreams, ceiling, servedModel, fallbackModel });
}
