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

/** Such parts of a URL would show in logs, or would not reach the engine. */
const PLAIN = 'without user, query or fragment';

export const environmentSchema = z.object({
  ...commonVariables,
  QARR_UPSTREAM_URL: z
    .url({ protocol: /^https?$/, error: 'must be an http(s) URL' })
    .refine(isPlainUrl, `must be an http(s) URL ${PLAIN}`)
    .optional()
    .describe("The engine's base URL, with or without `/v1`; replaces the tier's `upstreams`"),
  // Secrets in files end with a newline.
  QARR_UPSTREAM_API_KEY: z
    .string()
    .trim()
    .regex(/^[!-~]+$/, 'must be printable ASCII without spaces')
    .optional()
    .describe('Sent to the engine as a bearer token'),
  QARR_CONCURRENCY: wholeNumber(1, 4_096).default(32).describe('Jobs that run at once'),
  QARR_CONNECT_TIMEOUT_MS: milliseconds(1, 600_000)
    .default(2_000)
    .describe('To connect to the engine, in ms'),
  QARR_HEADERS_TIMEOUT_MS: milliseconds(1, 3_600_000)
    .default(60_000)
    .describe("From the request to the response's headers, in ms"),
  QARR_FIRST_TOKEN_TIMEOUT_MS: milliseconds(1, 3_600_000)
    .default(60_000)
    .describe('From the request to the first text, in ms'),
  QARR_IDLE_TIMEOUT_MS: milliseconds(1, 3_600_000)
    .default(30_000)
    .describe('Between two chunks of the answer, in ms'),
  QARR_RATE_WINDOW_MS: milliseconds(1, 3_600_000)
    .default(60_000)
    .describe('The time in which an answer must get its minimum of tokens, in ms'),
  QARR_RATE_TOKENS_MIN: wholeNumber(0, 1_000_000)
    .default(60)
    .describe('Tokens that an answer must get in each such time; 0 for no minimum'),
});

export interface EngineTimeouts {
  readonly connectMs: number;
  /** From the request to the response's headers. */
  readonly headersMs: number;
  /** From the request to the first text. */
  readonly firstTokenMs: number;
  /** Between two chunks of the answer. */
  readonly idleMs: number;
  /** In each window of this length, from the first token on, so many tokens must come. */
  readonly rateWindowMs: number;
  readonly tokensPerWindowMin: number;
}

export interface WorkerConfig {
  readonly tier: TierConfig;
  readonly workerId: string;
  readonly host: string;
  readonly redisUrl: string;
  readonly allowVolatileRedis: boolean;
  /** Base URL of the engine, without a final `/v1`. */
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
  const configPath = variables.QARR_CONFIG ?? DEFAULT_CONFIG_PATH;
  const { tiers } = readDeployment({
    path: configPath,
    isDefault: variables.QARR_CONFIG === undefined,
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
      `tier ${name} has no engine: set QARR_UPSTREAM_URL, or the tier's upstreams in ${configPath}`,
    );
  }
  if (!isPlainUrl(upstreamUrl)) {
    throw new ConfigurationError(
      `${configPath}: upstreams of tier ${name} must be http(s) URLs ${PLAIN}`,
    );
  }
  return Object.freeze({
    tier,
    workerId: `${name}-${hostname()}-${process.pid}`,
    host: hostname(),
    redisUrl: variables.REDIS_URL,
    allowVolatileRedis: variables.QARR_ALLOW_VOLATILE_REDIS,
    upstreamUrl: upstreamUrl.replace(/\/+$/, '').replace(/\/v1$/, ''),
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
      rateWindowMs: variables.QARR_RATE_WINDOW_MS,
      tokensPerWindowMin: variables.QARR_RATE_TOKENS_MIN,
    },
  });
}

function isPlainUrl(text: string): boolean {
  const url = URL.parse(text);
  if (url === null) return false;
  return [url.username, url.password, url.search, url.hash].every((part) => part === '');
}

function tierFlag(argv: readonly string[]): string | undefined {
  try {
    return parseArgs({ args: [...argv], options: { tier: { type: 'string' } } }).values.tier;
  } catch (error) {
    throw new ConfigurationError((error as Error).message);
  }
}
