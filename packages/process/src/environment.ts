/** The variables that more than one process reads, each with its default and its limits. */
import { readRedisUrl } from '@qarr/router-core';
import { z } from 'zod';

export const DEFAULT_CONFIG_PATH = 'qarr.config.yaml';

export const commonVariables = {
  REDIS_URL: z
    .string()
    .superRefine((url, context) => {
      const read = readRedisUrl(url);
      if (read.kind === 'invalid') context.addIssue({ code: 'custom', message: read.problem });
    })
    .default('redis://127.0.0.1:6379')
    .meta({ format: 'uri' })
    .describe(
      'Redis: `redis://host:6379`, `redis+sentinel://host:26379,host:26379/name` or `redis+cluster://host:6379,host:6379`, with `user:password@` where it needs them; `rediss` for TLS',
    ),
  QARR_CONFIG: z
    .string()
    .optional()
    .describe(
      `The configuration file: tiers and rules. Not set: \`${DEFAULT_CONFIG_PATH}\`, if it is there`,
    ),
  QARR_ALLOW_VOLATILE_REDIS: flag()
    .default(false)
    .describe('Development only: go on with a Redis that forgets accepted jobs when it restarts'),
  OPS_HOST: z
    .string()
    .default('127.0.0.1')
    .describe(
      'The address of the ops port, which asks for no key: open it to your Prometheus only',
    ),
  OPS_PORT: port().default(9464).describe('`/metrics` and `/healthz`; 0 takes any free port'),
  QARR_DRAIN_MS: milliseconds(0, 3_600_000)
    .default(25_000)
    .describe('How long what is open may go on after SIGTERM, in ms'),
  LOG_LEVEL: z
    .enum(
      ['fatal', 'error', 'warn', 'info', 'debug', 'silent'],
      'must be fatal, error, warn, info, debug or silent',
    )
    .default('info')
    .describe('From which level on log lines are written'),
};

export function port() {
  return wholeNumber(0, 65_535);
}

export function milliseconds(min: number, max: number) {
  return wholeNumber(min, max);
}

export function wholeNumber(min: number, max: number) {
  const error = `must be a whole number from ${min} to ${max}`;
  return z.coerce.number(error).int(error).min(min, error).max(max, error);
}

export function flag() {
  return z.stringbool({ error: 'must be true or false' });
}
