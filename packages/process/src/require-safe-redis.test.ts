import { describe, expect, it } from 'vitest';
import { ConfigurationError } from './configuration.ts';
import { createLogger } from './logger.ts';
import { requireSafeRedis } from './require-safe-redis.ts';

const FATAL = 'Redis evicts keys: set maxmemory-policy noeviction';
const VOLATILE = 'Redis does not persist: set appendonly yes';

function require(
  problems: { fatal?: string[]; volatile?: string[] },
  { allowVolatile = false } = {},
): { problem: string | null; warnings: number } {
  const log = createLogger({ name: 'test', level: 'silent' });
  let warnings = 0;
  log.warn = () => {
    warnings += 1;
  };
  try {
    requireSafeRedis({ fatal: [], volatile: [], ...problems }, { allowVolatile, log });
    return { problem: null, warnings };
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    return { problem: error.message, warnings };
  }
}

describe('a Redis', () => {
  it('without a problem is used', () => {
    expect(require({})).toEqual({ problem: null, warnings: 0 });
  });

  it('that would break the promise is never used', () => {
    for (const allowVolatile of [false, true]) {
      const { problem } = require({ fatal: [FATAL], volatile: [VOLATILE] }, { allowVolatile });
      expect(problem).toBe(FATAL);
    }
  });

  it('that forgets when it restarts is used only where that is allowed, with a warning', () => {
    expect(require({ volatile: [VOLATILE] })).toEqual({
      problem: `${VOLATILE}, or QARR_ALLOW_VOLATILE_REDIS=true for development`,
      warnings: 0,
    });
    const allowed = require({ volatile: [VOLATILE] }, { allowVolatile: true });
    expect(allowed).toEqual({ problem: null, warnings: 1 });
  });
});
