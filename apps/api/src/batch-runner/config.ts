/** The batch runner's switches, read once. */
import {
  DEFAULT_CONFIG_PATH,
  commonVariables,
  milliseconds,
  readDeployment,
  readEnvironment,
  tracingConfig,
  tracingVariables,
  wholeNumber,
} from '@qarr/process';
import type { TracingConfig } from '@qarr/process';
import type { Deployment } from '@qarr/router-core';
import { z } from 'zod';
import { environmentSchema as apiSchema } from '../config.ts';
import { placeOf, placeVariables } from '../files/file-config.ts';
import type { FileConfig } from '../files/file-config.ts';

/** As the API has them: a line is admitted, and run, like any job. */
const sharedVariables = apiSchema.pick({
  QARR_REDIS_MEMORY_PERCENT: true,
  QARR_REDIS_REPLICAS_MIN: true,
  QARR_QUEUE_DEPTH_MAX: true,
  QARR_DEPTH_ALERT_PER_WORKER: true,
  QARR_RUN_TIMEOUT_MS: true,
  QARR_RESULT_TTL_MS: true,
  QARR_LOG_TTL_MS: true,
}).shape;

export const environmentSchema = z.object({
  ...commonVariables,
  ...sharedVariables,
  ...placeVariables,
  ...tracingVariables,
  QARR_BATCHES_ACTIVE_MAX: wholeNumber(1, 1_000)
    .default(64)
    .describe('Batches that are worked on at once; the others wait, and tenants take turns'),
  QARR_BATCH_WINDOW_MAX: wholeNumber(1, 100_000)
    .default(1_000)
    .describe('Lines of batches that may wait in a tier at once, at most'),
  QARR_BATCH_LINES_MAX: wholeNumber(1, 10_000_000)
    .default(50_000)
    .describe('Lines that a batch may have'),
  QARR_BATCH_LINE_BYTES_MAX: wholeNumber(1_024, 1_073_741_824)
    .default(10_485_760)
    .describe('Largest line of a batch, in bytes'),
  QARR_BATCH_COMMIT_LINES: wholeNumber(1, 10_000)
    .default(1_000)
    .describe('So many finished lines are made durable together'),
  QARR_BATCH_COMMIT_BYTES: wholeNumber(1, 1_073_741_824)
    .default(8_388_608)
    .describe('Or so many bytes of them'),
  QARR_BATCH_COMMIT_MS_MAX: milliseconds(50, 3_600_000)
    .default(10_000)
    .describe(
      'Fewer wait so long for others at most, in ms; the first ones of a batch half a second, those of one that has been committed a thousand times longer',
    ),
});

export interface RunnerConfig {
  readonly deployment: Deployment;
  readonly opsHost: string;
  readonly opsPort: number;
  readonly redisUrl: string;
  readonly allowVolatileRedis: boolean;
  readonly memoryPercentMax: number;
  readonly redisReplicasMin: number;
  readonly drainMs: number;
  readonly logLevel: string;
  /** Jobs that may wait in a tier, all classes. */
  readonly depthMax: number;
  readonly depthAlertPerWorker: number;
  readonly runTimeoutMs: number;
  readonly retention: { readonly resultMs: number; readonly logMs: number };
  /** Where files lie. */
  readonly place: FileConfig['place'];
  readonly activeMax: number;
  readonly windowMax: number;
  readonly limits: { readonly linesMax: number; readonly lineBytesMax: number };
  readonly commit: CommitOptions;
  /** Null: no traces. */
  readonly tracing: TracingConfig | null;
}

/** When finished lines are made durable: enough of them, or the first has waited long enough. */
interface CommitOptions {
  readonly lines: number;
  readonly bytes: number;
  readonly waitMsMax: number;
}

export function readConfig(environment: NodeJS.ProcessEnv = process.env): RunnerConfig {
  const variables = readEnvironment(environmentSchema, environment);
  return Object.freeze({
    deployment: readDeployment({
      path: variables.QARR_CONFIG ?? DEFAULT_CONFIG_PATH,
      isDefault: variables.QARR_CONFIG === undefined,
    }),
    opsHost: variables.OPS_HOST,
    opsPort: variables.OPS_PORT,
    redisUrl: variables.REDIS_URL,
    allowVolatileRedis: variables.QARR_ALLOW_VOLATILE_REDIS,
    memoryPercentMax: variables.QARR_REDIS_MEMORY_PERCENT,
    redisReplicasMin: variables.QARR_REDIS_REPLICAS_MIN,
    drainMs: variables.QARR_DRAIN_MS,
    logLevel: variables.LOG_LEVEL,
    depthMax: variables.QARR_QUEUE_DEPTH_MAX,
    depthAlertPerWorker: variables.QARR_DEPTH_ALERT_PER_WORKER,
    runTimeoutMs: variables.QARR_RUN_TIMEOUT_MS,
    retention: { resultMs: variables.QARR_RESULT_TTL_MS, logMs: variables.QARR_LOG_TTL_MS },
    place: placeOf(variables),
    activeMax: variables.QARR_BATCHES_ACTIVE_MAX,
    windowMax: variables.QARR_BATCH_WINDOW_MAX,
    limits: {
      linesMax: variables.QARR_BATCH_LINES_MAX,
      lineBytesMax: variables.QARR_BATCH_LINE_BYTES_MAX,
    },
    commit: {
      lines: variables.QARR_BATCH_COMMIT_LINES,
      bytes: variables.QARR_BATCH_COMMIT_BYTES,
      waitMsMax: variables.QARR_BATCH_COMMIT_MS_MAX,
    },
    tracing: tracingConfig(variables),
  });
}
