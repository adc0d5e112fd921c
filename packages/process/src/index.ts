// Configuration
export { ConfigurationError, readDeployment, readEnvironment } from './configuration.ts';
export {
  DEFAULT_CONFIG_PATH,
  commonVariables,
  flag,
  milliseconds,
  port,
  wholeNumber,
} from './environment.ts';

// Watching
export { jobFields, logJobChange, traceIdOf } from './job-log.ts';
export { createErrorLog, createLogger } from './logger.ts';
export type { Logger } from './logger.ts';
export { createJobEnds } from './job-ends.ts';
export type { CountJobEnd } from './job-ends.ts';
export { metricsTable } from './metrics-table.ts';
export { portProblem, startOpsServer } from './ops-server.ts';
export type { OpsServer } from './ops-server.ts';
export { addGauge, createProcessRegistry } from './process-metrics.ts';

export { NO_TRACING, inSpan, startTracing } from './tracing.ts';
export type { Attributes, Span, Tracing } from './tracing.ts';
export { tracingConfig, tracingVariables } from './tracing-config.ts';
export type { TracingConfig } from './tracing-config.ts';

// Starting and stopping
export { requireSafeRedis } from './require-safe-redis.ts';
export { createStopper, runProcess } from './run-process.ts';
export type { Running } from './run-process.ts';
export { within } from './within.ts';
