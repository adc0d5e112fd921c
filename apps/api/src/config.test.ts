import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { readConfig } from './config.ts';

/** Only what a test says: no variables of this machine. */
function read(variables: Record<string, string> = {}) {
  return readConfig({ ...variables });
}

describe('the configuration', () => {
  it('has a default for everything', () => {
    expect(read()).toMatchObject({
      host: '127.0.0.1',
      port: 8_080,
      opsHost: '127.0.0.1',
      opsPort: 9_464,
      redisUrl: 'redis://127.0.0.1:6379',
      memoryPercentMax: 80,
      drainMs: 25_000,
      logLevel: 'info',
      limits: {
        bodyBytesMax: 10_485_760,
        connectionsMax: 16_384,
        requestTimeoutMs: 30_000,
        heartbeatMs: 15_000,
        readerStuckMs: 60_000,
      },
      queueTimeoutMs: { interactive: 30_000, standard: 300_000, batch: 86_400_000 },
      runTimeoutMs: 600_000,
      retention: { resultMs: 86_400_000, logMs: 3_600_000 },
    });
    expect(read().deployment.tiers.map(({ name }) => name)).toEqual([
      'fast',
      'balanced',
      'precise',
    ]);
  });

  it('takes an empty variable as absent, and port 0 as any', () => {
    expect(read({ PORT: '', OPS_PORT: '0' })).toMatchObject({ port: 8_080, opsPort: 0 });
  });

  it('opens the ops port to others only where that is said by itself', () => {
    const keys = { QARR_KEY_SECRETS: 'a-secret-of-the-tests-longer-than-32-characters' };
    expect(read({ ...keys, HOST: '0.0.0.0' })).toMatchObject({
      host: '0.0.0.0',
      opsHost: '127.0.0.1',
    });
    expect(read({ OPS_HOST: '0.0.0.0' })).toMatchObject({
      host: '127.0.0.1',
      opsHost: '0.0.0.0',
    });
  });

  it('is frozen', () => {
    expect(Object.isFrozen(read())).toBe(true);
  });

  it.each([
    ['PORT', 'many', /^PORT: must be a whole number from 0 to 65535$/],
    ['PORT', '65536', /^PORT: /],
    ['QARR_BODY_BYTES_MAX', '0', /^QARR_BODY_BYTES_MAX: must be a whole number from 1024/],
    ['QARR_HEARTBEAT_MS', '1.5', /^QARR_HEARTBEAT_MS: must be a whole number/],
    ['REDIS_URL', 'http://x', /^REDIS_URL: must be a URL such as redis:/],
    ['LOG_LEVEL', 'loud', /^LOG_LEVEL: must be fatal, error/],
    ['QARR_CONFIG', '/does/not/exist.yaml', /^QARR_CONFIG: there is no file/],
  ])('refuses %s=%s in one line that names it', (name, value, message) => {
    expect(() => read({ [name]: value })).toThrow(message);
  });

  it('reads the tiers from the file, and names the file that cannot be used', () => {
    const dir = mkdtempSync(join(tmpdir(), 'qarr-config-'));
    onTestFinished(() => rmSync(dir, { recursive: true }));
    const path = join(dir, 'qarr.yaml');
    writeFileSync(
      path,
      'tiers: [{ name: only, max_model_len: 100 }]\nrouting: { rules: [{ tier: only, when: default }] }\n',
    );
    expect(read({ QARR_CONFIG: path }).deployment.policy.tiers).toEqual([
      { name: 'only', maxModelLen: 100 },
    ]);
    writeFileSync(path, 'tiers: 1\n');
    expect(() => read({ QARR_CONFIG: path })).toThrow(path);
  });
});
