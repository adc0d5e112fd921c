/** From a valid request to a job in its queue. */
import { randomBytes, randomUUID } from 'node:crypto';
import type { ProducerStore, QueuePlace } from '@qarr/job-store';
import { childTraceparent, parseTraceparent } from '@qarr/router-core';
import type { Fallback, JobClass, JobWebhook, OnInterrupt } from '@qarr/router-core';
import type { ApiConfig } from './config.ts';
import type { ApiMetrics } from './metrics.ts';
import type { RoutedRequest } from './route-request.ts';
import type { TierWatch } from './tier-watch.ts';

export interface SubmitDeps {
  readonly store: Pick<ProducerStore, 'submit'>;
  readonly watch: Pick<TierWatch, 'placeAt'>;
  readonly metrics: ApiMetrics;
  readonly config: Pick<ApiConfig, 'queueTimeoutMs' | 'runTimeoutMs'>;
}

export interface JobOptions {
  readonly class: JobClass;
  readonly onInterrupt: OnInterrupt;
  readonly fallback?: Fallback | undefined;
  readonly queueTimeoutMs?: number | undefined;
  readonly runTimeoutMs?: number | undefined;
  readonly metadata?: Record<string, string> | undefined;
  readonly webhook?: JobWebhook | undefined;
  /** The header as it came; what is not valid counts for nothing. */
  readonly traceparent?: string | string[] | undefined;
}

export interface SubmittedJob extends QueuePlace {
  readonly id: string;
}

/** Nobody's key is asked for yet, so everybody is the same owner. */
const OWNER = 'anonymous';

export async function submitJob(
  route: RoutedRequest,
  options: JobOptions,
  { store, watch, metrics, config }: SubmitDeps,
): Promise<SubmittedJob> {
  // Random enough not to be guessed; chosen here, so that writing it twice makes one job.
  const id = `job_${randomUUID().replaceAll('-', '')}`;
  const place = await store.submit(
    {
      id,
      owner: OWNER,
      class: options.class,
      tier: route.tier,
      requestedTier: route.requestedTier,
      reasons: route.reasons,
      request: route.engineRequest,
      droppedMessages: route.droppedMessages,
      // A pinned job stays where it is unless its client says otherwise.
      fallback: options.fallback ?? (route.requestedTier === null ? 'up' : 'none'),
      onInterrupt: options.onInterrupt,
      queueTimeoutMs: options.queueTimeoutMs ?? config.queueTimeoutMs[options.class],
      runTimeoutMs: options.runTimeoutMs ?? config.runTimeoutMs,
      metadata: options.metadata ?? {},
      traceparent: traceparentOfJob(options.traceparent),
      webhook: options.webhook,
    },
    (depth) => watch.placeAt(route.tier, depth),
  );
  metrics.routed(route);
  return { id, ...place };
}

/** A span of the client's trace, or of one that begins here. */
function traceparentOfJob(header: string | string[] | undefined): string {
  const parent = typeof header === 'string' ? parseTraceparent(header) : null;
  return childTraceparent(parent, (bytes) => randomBytes(bytes).toString('hex'));
}
