/** The worker's switches: flags and environment, read once. */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { parseArgs } from 'node:util';
import {
  ConfigurationError,
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
import { BREAKER_DEFAULTS, RETRIES_PER_SUCCESS } from '@qarr/router-core';
import type { BreakerOptions, TierConfig } from '@qarr/router-core';
import { z } from 'zod';
import { readUpstreamUrls, splitUrls } from './upstream-urls.ts';

const WARMUP_REQUESTS = 20;

export const environmentSchema = z.object({
  ...commonVariables,
  QARR_UPSTREAM_URL: z
    .string()
    .superRefine((list, context) => {
      const read = readUpstreamUrls(splitUrls(list));
      if (read.kind === 'refused') context.addIssue(read.problem);
    })
    .optional()
    .describe(
      "Base URLs of engines, with or without `/v1`, separated by commas; replaces the tier's `upstreams`",
    ),
  // Secrets in files end with a newline.
  QARR_UPSTREAM_API_KEY: z
    .string()
    .trim()
    .regex(/^[!-~]+$/, 'must be printable ASCII without spaces')
    .optional()
    .describe('Sent to the engines as a bearer token'),
  QARR_CONCURRENCY: wholeNumber(1, 4_096)
    .default(32)
    .describe('Jobs that run at once on each engine, at most; fewer while it is under pressure'),
  QARR_WARMUP_REQUESTS: wholeNumber(0, 1_000)
    .optional()
    .describe(
      `Small requests to an engine before its first job; replaces the tier's \`warmup_requests\`. Not set: ${WARMUP_REQUESTS}`,
    ),
  QARR_BREAKER_FAILURES: wholeNumber(0, 1_000_000)
    .default(BREAKER_DEFAULTS.failureThreshold)
    .describe("Hard failures in a row that open an engine's breaker; 0: it never opens"),
  QARR_BREAKER_OPEN_MS: milliseconds(1, 3_600_000)
    .default(BREAKER_DEFAULTS.resetTimeoutMs)
    .describe(
      'How long it is open the first time, in ms, more or less a fifth; each further time twice as long',
    ),
  QARR_BREAKER_OPEN_MS_MAX: milliseconds(1, 3_600_000)
    .default(BREAKER_DEFAULTS.resetTimeoutMsMax)
    .describe('How long it is open at most, in ms'),
  QARR_BREAKER_PROBES: wholeNumber(1, 1_000)
    .default(BREAKER_DEFAULTS.successThreshold)
    .describe('Probes in a row that must succeed to close it'),
  QARR_RETRY_PERCENT: wholeNumber(0, 100_000)
    .default(RETRIES_PER_SUCCESS * 100)
    .describe('Jobs that are tried again per hundred that are answered; besides, one per second'),
  QARR_CANARY_EVERY_MS: milliseconds(100, 86_400_000)
    .default(10_000)
    .describe('An engine that has shown no token for so long is asked for one, in ms'),
  QARR_CANARY_TIMEOUT_MS: milliseconds(1, 3_600_000)
    .default(10_000)
    .describe('To answer that, in ms; one that fails twice gets no jobs'),
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
  ...tracingVariables,
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
  /** Base URLs of the engines, without a final `/v1`. */
  readonly upstreamUrls: readonly [string, ...string[]];
  readonly upstreamApiKey: string | undefined;
  /** Jobs at once on each engine, at most. */
  readonly concurrency: number;
  /** Before the first job, and whenever an engine has started anew. */
  readonly warmupRequests: number;
  readonly canary: { readonly everyMs: number; readonly timeoutMs: number };
  readonly breaker: Pick<
    BreakerOptions,
    'failureThreshold' | 'resetTimeoutMs' | 'resetTimeoutMsMax' | 'successThreshold'
  >;
  readonly retriesPerSuccess: number;
  /** Null: no traces. */
  readonly tracing: TracingConfig | null;
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
  if (variables.QARR_BREAKER_OPEN_MS_MAX < variables.QARR_BREAKER_OPEN_MS) {
    throw new ConfigurationError(
      `QARR_BREAKER_OPEN_MS_MAX: must be at least QARR_BREAKER_OPEN_MS, which is ${variables.QARR_BREAKER_OPEN_MS}`,
    );
  }
  const upstreamUrls = upstreamsOf(tier, { variable: variables.QARR_UPSTREAM_URL, configPath });
  return Object.freeze({
    tier,
    // In containers host names and pids repeat, and a dead worker must not look alive. Events tell it to
    // clients, who need not know where it runs.
    workerId: `${name}-${randomBytes(6).toString('hex')}`,
    host: hostname(),
    redisUrl: variables.REDIS_URL,
    allowVolatileRedis: variables.QARR_ALLOW_VOLATILE_REDIS,
    upstreamUrls,
    upstreamApiKey: variables.QARR_UPSTREAM_API_KEY,
    concurrency: variables.QARR_CONCURRENCY,
    warmupRequests: variables.QARR_WARMUP_REQUESTS ?? tier.warmup_requests ?? WARMUP_REQUESTS,
    canary: {
      everyMs: variables.QARR_CANARY_EVERY_MS,
      timeoutMs: variables.QARR_CANARY_TIMEOUT_MS,
    },
    breaker: {
      failureThreshold: variables.QARR_BREAKER_FAILURES,
      resetTimeoutMs: variables.QARR_BREAKER_OPEN_MS,
      resetTimeoutMsMax: variables.QARR_BREAKER_OPEN_MS_MAX,
      successThreshold: variables.QARR_BREAKER_PROBES,
    },
    retriesPerSuccess: variables.QARR_RETRY_PERCENT / 100,
    tracing: tracingConfig(variables),
    opsHost: variables.OPS_HOST,
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

function upstreamsOf(
  tier: TierConfig,
  { variable, configPath }: { variable: string | undefined; configPath: string },
): readonly [string, ...string[]] {
  const read = readUpstreamUrls(variable === undefined ? tier.upstreams : splitUrls(variable));
  if (read.kind === 'refused') {
    throw new ConfigurationError(`${configPath}: upstreams of tier ${tier.name}: ${read.problem}`);
  }
  const [first, ...others] = read.urls;
  if (first === undefined) {
    throw new ConfigurationError(
      `tier ${tier.name} has no engine: set QARR_UPSTREAM_URL, or the tier's upstreams in ${configPath}`,
    );
  }
  return [first, ...others];
}

function tierFlag(argv: readonly string[]): string | undefined {
  try {
    return parseArgs({ args: [...argv], options: { tier: { type: 'string' } } }).values.tier;
  } catch (error) {
    throw new ConfigurationError((error as Error).message);
  }
}
