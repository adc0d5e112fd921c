/** The variables that more than one process reads, each with its default and its limits. */
import { z } from 'zod';

export const DEFAULT_CONFIG_PATH = 'qarr.config.yaml';

export const commonVariables = {
  REDIS_URL: z
    .url({ protocol: /^rediss?$/, error: 'must be a URL such as redis://127.0.0.1:6379' })
    .default('redis://127.0.0.1:6379'),
  QARR_CONFIG: z.string().default(DEFAULT_CONFIG_PATH),
  /** Development only: go on with a Redis that can lose accepted jobs. */
  QARR_ALLOW_UNSAFE_REDIS: flag().default(false),
  /** The address that servers bind to. */
  HOST: z.string().default('127.0.0.1'),
  /** Where `/metrics` and `/healthz` are served; 0 takes any free port. */
  OPS_PORT: port().default(9464),
  QARR_DRAIN_MS: milliseconds(0, 3_600_000).default(25_000),
  LOG_LEVEL: z
    .enum(
      ['fatal', 'error', 'warn', 'info', 'debug', 'silent'],
      'must be fatal, error, warn, info, debug or silent',
    )
    .default('info'),
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

function flag() {
  return z.stringbool({ error: 'must be true or false' });
}
