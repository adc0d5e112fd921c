/** The worker's switches: flags and environment, read once. */
import { hostname } from 'node:os';
import { parseArgs } from 'node:util';
import {
  ConfigurationError,
  DEFAULT_CONFIG_PATH,
  commonVariables,
  milliseconds,
  readDeployment,
  readEnvironment,
  wholeNumber,
} from '@qarr/process';
import type { TierConfig } from '@qarr/router-core';
import { z } from 'zod';

const environmentSchema = z.object({
  ...commonVariables,
  /** The engine's base URL; replaces the tier's `upstreams`. */
  QARR_UPSTREAM_URL: z.url({ protocol: /^https?$/, error: 'must be an http(s) URL' }).optional(),
  /** Sent to the engine as a bearer token. */
  QARR_UPSTREAM_API_KEY: z.string().optional(),
  /** Jobs that run at once. */
  QARR_CONCURRENCY: wholeNumber(1, 4_096).default(32),
  QARR_CONNECT_TIMEOUT_MS: milliseconds(1, 600_000).default(2_000),
  QARR_HEADERS_TIMEOUT_MS: milliseconds(1, 3_600_000).default(60_000),
  QARR_FIRST_TOKEN_TIMEOUT_MS: milliseconds(1, 3_600_000).default(60_000),
  QARR_IDLE_TIMEOUT_MS: milliseconds(1, 3_600_000).default(30_000),
});

export interface EngineTimeouts {
  readonly connectMs: number;
  /** From the request to the response's headers. */
  readonly headersMs: number;
  /** From the request to the first text. */
  readonly firstTokenMs: number;
  /** Between two pieces of the response. */
  readonly idleMs: number;
}

export interface WorkerConfig {
  readonly tier: TierConfig;
  readonly workerId: string;
  readonly host: string;
  readonly redisUrl: string;
  readonly allowUnsafeRedis: boolean;
  readonly upstreamUrl: string;
  readonly upstreamApiKey: string | undefined;
  readonly concurrency: number;
  readonly opsHost: string;
  readonly opsPort: number;
  readonly drainMs: number;
  readonly logLevel: string;
  readonly timeouts: EngineTimeouts;
}

export function readConfig({
  argv = process.argv.slice(2),
  environment = process.env,
}: { argv?: readonly string[]; environment?: NodeJS.ProcessEnv } = {}): WorkerConfig {
  const variables = readEnvironment(environmentSchema, environment);
  const { tiers } = readDeployment({
    path: variables.QARR_CONFIG,
    isDefault: variables.QARR_CONFIG === DEFAULT_CONFIG_PATH,
  });
  const name = tierFlag(argv);
  const names = tiers.map((tier) => tier.name).join(', ');
  if (name === undefined) throw new ConfigurationError(`say which tier: --tier one of ${names}`);
  const tier = tiers.find((candidate) => candidate.name === name);
  if (tier === undefined) {
    throw new ConfigurationError(`--tier: there is no tier ${name}; there are ${names}`);
  }
  const upstreamUrl = variables.QARR_UPSTREAM_URL ?? tier.upstreams[0];
  if (upstreamUrl === undefined) {
    throw new ConfigurationError(
      `tier ${name} has no engine: set QARR_UPSTREAM_URL, or the tier's upstreams in ${variables.QARR_CONFIG}`,
    );
  }
  return Object.freeze({
    tier,
    workerId: `${name}-${hostname()}-${process.pid}`,
    host: hostname(),
    redisUrl: variables.REDIS_URL,
    allowUnsafeRedis: variables.QARR_ALLOW_UNSAFE_REDIS,
    upstreamUrl,
    upstreamApiKey: variables.QARR_UPSTREAM_API_KEY,
    concurrency: variables.QARR_CONCURRENCY,
    opsHost: variables.HOST,
    opsPort: variables.OPS_PORT,
    drainMs: variables.QARR_DRAIN_MS,
    logLevel: variables.LOG_LEVEL,
    timeouts: {
      connectMs: variables.QARR_CONNECT_TIMEOUT_MS,
      headersMs: variables.QARR_HEADERS_TIMEOUT_MS,
      firstTokenMs: variables.QARR_FIRST_TOKEN_TIMEOUT_MS,
      idleMs: variables.QARR_IDLE_TIMEOUT_MS,
    },
  });
}

function tierFlag(argv: readonly string[]): string | undefined {
  try {
    return parseArgs({ args: [...argv], options: { tier: { type: 'string' } } }).values.tier;
  } catch (error) {
    throw new ConfigurationError((error as Error).message);
  }
}
