import { describe, expect, it } from 'vitest';
import { readConfig } from './config.ts';

describe('the configuration of the batch runner', () => {
  it('has a default for everything', () => {
    expect(readConfig({ QARR_FILES_DIR: '/var/qarr' })).toMatchObject({
      redisUrl: 'redis://127.0.0.1:6379',
      place: { kind: 'folder', folder: '/var/qarr' },
      activeMax: 64,
      windowMax: 1_000,
      limits: { linesMax: 50_000, lineBytesMax: 10_485_760 },
      commit: { lines: 1_000, bytes: 8_388_608, waitMsMax: 10_000 },
      depthMax: 10_000,
      runTimeoutMs: 600_000,
    });
    expect(Object.isFrozen(readConfig({}))).toBe(true);
  });

  it.each([
    ['QARR_BATCH_WINDOW_MAX', '0', /^QARR_BATCH_WINDOW_MAX: must be a whole number from 1 to/],
    ['QARR_FILES_DIR', 'files', /^QARR_FILES_DIR: must be an absolute path/],
    ['QARR_CONFIG', '/does/not/exist.yaml', /^QARR_CONFIG: there is no file/],
  ])('refuses %s=%s in one line that names it', (name, value, message) => {
    expect(() => readConfig({ [name]: value })).toThrow(message);
  });
});
