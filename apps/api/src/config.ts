/** The API's switches, read once. */
import {
  DEFAULT_CONFIG_PATH,
  commonVariables,
  milliseconds,
  port,
  readDeployment,
  readEnvironment,
  tracingConfig,
  tracingVariables,
  wholeNumber,
} from '@qarr/process';
import type { TracingConfig } from '@qarr/process';
import type { AdmissionOptions, Deployment } from '@qarr/router-core';
import { z } from 'zod';
import { batchConfig, batchVariables } from './batches/batch-config.ts';
import type { BatchConfig } from './batches/batch-config.ts';
import { fileConfig, fileVariables } from './files/file-config.ts';
import type { FileConfig } from './files/file-config.ts';
import { corsOrigins, keyConfig, keyVariables, requireLoopback } from './keys/key-config.ts';
import type { KeyConfig } from './keys/key-config.ts';
import { webhookConfig, webhookVariables } from './webhooks/webhook-config.ts';
import type { WebhookConfig } from './webhooks/webhook-config.ts';

export const environmentSchema = z.object({
  ...commonVariables,
  HOST: z.string().default('127.0.0.1').describe('The address of the port for users'),
  PORT: port().default(8080).describe('The port for users; 0 takes any free port'),
  QARR_REDIS_MEMORY_PERCENT: wholeNumber(1, 100)
    .default(80)
    .describe("Above so much of Redis's maxmemory no job is admitted"),
  QARR_REDIS_REPLICAS_MIN: wholeNumber(0, 100)
    .default(0)
    .describe(
      'What is submitted is accepted once so many replicas of Redis have it; otherwise it is answered with `not_replicated`',
    ),
  QARR_BODY_BYTES_MAX: wholeNumber(1_024, 1_073_741_824)
    .default(10_485_760)
    .describe('Largest body of a request, in bytes'),
  QARR_CONNECTIONS_MAX: wholeNumber(1, 1_000_000)
    .default(16_384)
    .describe('Connections at once, as far as the limit of open files allows; more are closed'),
  QARR_REQUEST_TIMEOUT_MS: milliseconds(1, 600_000)
    .default(30_000)
    .describe('How long the headers of a request may take to arrive, and then its body, in ms'),
  QARR_INTERACTIVE_QUEUE_MS: milliseconds(1, 86_400_000)
    .default(30_000)
    .describe('How long a job of class `interactive` may wait to be started, in ms'),
  QARR_STANDARD_QUEUE_MS: milliseconds(1, 86_400_000)
    .default(300_000)
    .describe('The same for class `standard`'),
  QARR_BATCH_QUEUE_MS: milliseconds(1, 86_400_000)
    .default(86_400_000)
    .describe('The same for class `batch`'),
  QARR_QUEUE_DEPTH_MAX: wholeNumber(1, 1_000_000)
    .default(10_000)
    .describe('Jobs that may wait in a tier; more are refused with `queue_full`'),
  QARR_DEPTH_ALERT_PER_WORKER: wholeNumber(1, 1_000_000)
    .default(15)
    .describe('More foreground jobs waiting than this, per live worker of a tier, raise its alert'),
  QARR_WAIT_PERCENT_MAX: wholeNumber(1, 100)
    .default(80)
    .describe('Of the time in which a job must start: what its estimated wait may use'),
  QARR_FALLBACK_PERCENT_MAX: wholeNumber(1, 100)
    .default(20)
    .describe(
      "Of a tier's slots: so many jobs may other tiers have sent it at once, and always one",
    ),
  QARR_CACHE_TTL_MS: milliseconds(0, 2_592_000_000)
    .default(0)
    .describe(
      'How long an answer at temperature 0 is given to the same request again, in ms; 0: never',
    ),
  QARR_RUN_TIMEOUT_MS: milliseconds(1, 86_400_000)
    .default(600_000)
    .describe('How long a job may run from its first start, where it does not say, in ms'),
  QARR_HEARTBEAT_MS: milliseconds(100, 600_000)
    .default(15_000)
    .describe('Between two heartbeats of a stream, in ms; proxies cut silent connections'),
  QARR_READER_STUCK_MS: milliseconds(100, 3_600_000)
    .default(60_000)
    .describe('A reader that takes nothing for so long is disconnected; it can resume'),
  QARR_PREFER_WAIT_MS_MAX: milliseconds(0, 3_600_000)
    .default(60_000)
    .describe('Longest time that `Prefer: wait=n` holds an answer, in ms'),
  QARR_HOLD_MS_MAX: milliseconds(100, 3_600_000)
    .default(240_000)
    .describe(
      'Longest time that an answer in one piece is waited for, in ms; many clients give up at 300 s',
    ),
  QARR_REPLICA_LOST_MS: milliseconds(1_000, 3_600_000)
    .default(15_000)
    .describe('A replica silent for so long counts as gone: its foreground requests are cancelled'),
  QARR_OWED_CANCELS_MAX: wholeNumber(1, 1_000_000)
    .default(10_000)
    .describe('Jobs that are to be cancelled as soon as Redis answers again, at most'),
  QARR_IDEMPOTENCY_TTL_MS: milliseconds(1_000, 2_592_000_000)
    .default(86_400_000)
    .describe('How long an `Idempotency-Key` stands, from its first use, in ms'),
  QARR_RESULT_TTL_MS: milliseconds(1_000, 2_592_000_000)
    .default(86_400_000)
    .describe('How long a finished job is kept, in ms'),
  QARR_LOG_TTL_MS: milliseconds(1_000, 2_592_000_000)
    .default(3_600_000)
    .describe('How long its events are kept, in ms'),
  ...batchVariables,
  ...keyVariables,
  ...webhookVariables,
  ...fileVariables,
  ...tracingVariables,
});

export interface ApiConfig {
  readonly deployment: Deployment;
  readonly host: string;
  readonly port: number;
  readonly opsHost: string;
  readonly opsPort: number;
  readonly redisUrl: string;
  readonly allowVolatileRedis: boolean;
  readonly memoryPercentMax: number;
  /** So many replicas of Redis must have what is accepted. */
  readonly redisReplicasMin: number;
  readonly drainMs: number;
  readonly logLevel: string;
  readonly limits: HttpLimits;
  readonly queueTimeoutMs: Readonly<Record<'interactive' | 'standard' | 'batch', number>>;
  readonly admission: AdmissionOptions;
  readonly depthAlertPerWorker: number;
  readonly runTimeoutMs: number;
  /** 0: no answer is given twice. */
  readonly cacheTtlMs: number;
  readonly replicaLostMs: number;
  readonly owedCancelsMax: number;
  readonly idempotencyTtlMs: number;
  readonly retention: { readonly resultMs: number; readonly logMs: number };
  readonly batches: BatchConfig;
  readonly keys: KeyConfig;
  /** Null: no pages of other origins. */
  readonly corsOrigins: readonly string[] | '*' | null;
  readonly webhooks: WebhookConfig;
  readonly files: FileConfig;
  /** Null: no traces. */
  readonly tracing: TracingConfig | null;
}

export interface HttpLimits {
  readonly bodyBytesMax: number;
  readonly connectionsMax: number;
  readonly requestTimeoutMs: number;
  readonly heartbeatMs: number;
  readonly readerStuckMs: number;
  /** The longest that a client's preference may hold an answer. */
  readonly waitMsMax: number;
  /** The longest that an answer in one piece is waited for. */
  readonly holdMsMax: number;
}

export function readConfig(environment: NodeJS.ProcessEnv = process.env): ApiConfig {
  const variables = readEnvironment(environmentSchema, environment);
  const keys = keyConfig(variables);
  requireLoopback(variables.HOST, keys);
  return Object.freeze({
    deployment: readDeployment({
      path: variables.QARR_CONFIG ?? DEFAULT_CONFIG_PATH,
      isDefault: variables.QARR_CONFIG === undefined,
    }),
    host: variables.HOST,
    port: variables.PORT,
    opsHost: variables.OPS_HOST,
    opsPort: variables.OPS_PORT,
    redisUrl: variables.REDIS_URL,
    allowVolatileRedis: variables.QARR_ALLOW_VOLATILE_REDIS,
    memoryPercentMax: variables.QARR_REDIS_MEMORY_PERCENT,
    redisReplicasMin: variables.QARR_REDIS_REPLICAS_MIN,
    drainMs: variables.QARR_DRAIN_MS,
    logLevel: variables.LOG_LEVEL,
    limits: {
      bodyBytesMax: variables.QARR_BODY_BYTES_MAX,
      connectionsMax: variables.QARR_CONNECTIONS_MAX,
      requestTimeoutMs: variables.QARR_REQUEST_TIMEOUT_MS,
      heartbeatMs: variables.QARR_HEARTBEAT_MS,
      readerStuckMs: variables.QARR_READER_STUCK_MS,
      waitMsMax: variables.QARR_PREFER_WAIT_MS_MAX,
      holdMsMax: variables.QARR_HOLD_MS_MAX,
    },
    queueTimeoutMs: {
      interactive: variables.QARR_INTERACTIVE_QUEUE_MS,
      standard: variables.QARR_STANDARD_QUEUE_MS,
      batch: variables.QARR_BATCH_QUEUE_MS,
    },
    admission: {
      depthMax: variables.QARR_QUEUE_DEPTH_MAX,
      waitShareMax: variables.QARR_WAIT_PERCENT_MAX / 100,
      fallbackShareMax: variables.QARR_FALLBACK_PERCENT_MAX / 100,
    },
    depthAlertPerWorker: variables.QARR_DEPTH_ALERT_PER_WORKER,
    runTimeoutMs: variables.QARR_RUN_TIMEOUT_MS,
    cacheTtlMs: variables.QARR_CACHE_TTL_MS,
    replicaLostMs: variables.QARR_REPLICA_LOST_MS,
    owedCancelsMax: variables.QARR_OWED_CANCELS_MAX,
    idempotencyTtlMs: variables.QARR_IDEMPOTENCY_TTL_MS,
    retention: { resultMs: variables.QARR_RESULT_TTL_MS, logMs: variables.QARR_LOG_TTL_MS },
    batches: batchConfig(variables),
    keys,
    corsOrigins: corsOrigins(variables),
    webhooks: webhookConfig(variables),
    files: fileConfig(variables),
    tracing: tracingConfig(variables),
  });
}
