/** Wires the engines of a worker as its configuration says. */
import type { WorkerStore } from '@qarr/job-store';
import type { Logger } from '@qarr/process';
import { BREAKER_DEFAULTS } from '@qarr/router-core';
import type { BreakerName } from '@qarr/router-core';
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
  shareBreakers,
  onChange,
  onBreaker,
  log,
}: {
  config: WorkerConfig;
  shareBreakers: WorkerStore['shareBreakers'];
  onChange: () => void;
  /** An engine's breaker has become this. */
  onBreaker: (url: string, kind: BreakerName) => void;
  log: Logger;
}): Upstreams {
  const { tier, concurrency: ceiling, upstreamApiKey: apiKey, timeouts } = config;
  const servedModel = createServedModel(tier.model);
  const fallbackModel = tier.model ?? tier.name;
  const shared = shareBreakers({
    workerId: config.workerId,
    host: config.host,
    upstreams: config.upstreamUrls,
    onTold: (url, told) => upstreams.find((upstream) => upstream.url === url)?.follow(told),
  });
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
      breaker: { ...BREAKER_DEFAULTS, ...config.breaker },
      shared,
      servedModel,
      fallbackModel,
      onChange,
      onBreaker: (kind) => onBreaker(url, kind),
      log,
    });
  const [first, ...others] = config.upstreamUrls;
  const upstreams = [connect(first), ...others.map(connect)] as const;
  return createUpstreams({ upstreams, servedModel, fallbackModel });
}
