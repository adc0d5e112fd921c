import { ConfigurationError } from './configuration.ts';
import type { Logger } from './logger.ts';

/**
 * Throws when Redis would break the promise; only its loss on a restart can be allowed. Returns what
 * was allowed, for whoever looks at this process.
 */
export function requireSafeRedis(
  problems: { fatal: readonly string[]; volatile: readonly string[] },
  { allowVolatile, log }: { allowVolatile: boolean; log: Logger },
): readonly string[] {
  const [fatal] = problems.fatal;
  if (fatal !== undefined) throw new ConfigurationError(fatal);
  const [lossy] = problems.volatile;
  if (lossy !== undefined && !allowVolatile) {
    throw new ConfigurationError(`${lossy}, or QARR_ALLOW_VOLATILE_REDIS=true for development`);
  }
  for (const problem of problems.volatile) log.warn({ problem }, 'volatile redis');
  return problems.volatile;
}
