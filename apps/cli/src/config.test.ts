import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CliError, EXIT_BAD_USE, messageOf } from './cli-error.ts';
import { readApiKey, readConfig } from './config.ts';
import { readWorkerCounts } from './worker-counts.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'qarr cli '));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** The message, when it is one line for people and the exit code says that the use was bad. */
function problemOf(env: NodeJS.ProcessEnv): string {
  try {
    readConfig({ env, folder });
  } catch (error) {
    if (!(error instanceof CliError) || error.exitCode !== EXIT_BAD_USE) throw error;
    return messageOf(error);
  }
  throw new Error('it was accepted');
}

describe('readConfig', () => {
  test('starts a simulator and one worker for each tier of the default deployment', () => {
    const config = readConfig({ env: {}, folder });
    expect(config).toMatchObject({
      host: '127.0.0.1',
      port: 8080,
      opsHost: '127.0.0.1',
      opsPort: 9464,
    });
    const opened = readConfig({ env: { HOST: '0.0.0.0', OPS_HOST: '::1' }, folder });
    expect(opened).toMatchObject({ host: '0.0.0.0', opsHost: '::1' });
    expect(readConfig({ env: { HOST: '0.0.0.0' }, folder }).opsHost).toBe('127.0.0.1');
    expect(config.redisUrl).toBeNull();
    expect(config.configFile).toBeNull();
    expect(
      config.tiers.map(({ name, engineUrls, workers }) => [name, engineUrls, workers]),
    ).toEqual([
      ['fast', [], 1],
      ['balanced', [], 1],
      ['precise', [], 1],
    ]);
  });

  test('takes engines, their keys and worker counts by the names of the tiers', () => {
    writeFileSync(
      path.join(folder, 'qarr.config.yaml'),
      'tiers: [{ name: high-precision }]\nrouting: { rules: [{ when: default, tier: high-precision }] }\n',
    );
    const config = readConfig({
      env: {
        QARR_HIGH_PRECISION_URL: 'http://gpu:8000/v1',
        QARR_HIGH_PRECISION_API_KEY: 'secret',
        QARR_WORKERS_HIGH_PRECISION: '3',
      },
      folder,
    });
    expect(config.configFile).toBe(path.join(folder, 'qarr.config.yaml'));
    expect(config.tiers).toEqual([
      expect.objectContaining({
        name: 'high-precision',
        engineUrls: ['http://gpu:8000/v1'],
        engineSource: 'QARR_HIGH_PRECISION_URL',
        engineApiKey: 'secret',
        workers: 3,
      }),
    ]);
  });

  test('gives each engine of the configuration file its worker', () => {
    const upstreams = '["http://one:8000", "http://two:8000"]';
    writeFileSync(
      path.join(folder, 'qarr.config.yaml'),
      `tiers: [{ name: fast, upstreams: ${upstreams} }]\nrouting: { rules: [{ when: default, tier: fast }] }\n`,
    );
    const [tier] = readConfig({ env: {}, folder }).tiers;
    expect(tier).toMatchObject({
      engineUrls: ['http://one:8000', 'http://two:8000'],
      engineSource: 'qarr.config.yaml',
      workers: 2,
    });
  });

  test('takes worker counts that were typed before those of the environment', () => {
    const workers = readWorkerCounts(['fast=3, precise=16', 'balanced=2']);
    const env = { QARR_WORKERS_FAST: '5', QARR_WORKERS_PRECISE: 'many' };
    expect(readConfig({ env, folder, workers }).tiers.map((tier) => tier.workers)).toEqual([
      3, 2, 16,
    ]);
    expect(() => readConfig({ env: {}, folder, workers: readWorkerCounts(['fats=2']) })).toThrow(
      '--workers names no tier with fats; the tiers are fast, balanced, precise',
    );
  });

  test.each(['fast', 'fast=0', 'fast=17', 'fast=3,', 'fast=-1', '=3', 'fast=1.5', 'fast=1,fast=2'])(
    'refuses --workers %s in one line',
    (given) => {
      const limits = 'be tiers with 1 to 16 workers, such as fast=3,balanced=2';
      const message = given === 'fast=1,fast=2' ? 'name fast once' : limits;
      expect(() => readWorkerCounts([given])).toThrow(`--workers must ${message}`);
    },
  );

  test('takes several engines of a tier, separated by commas', () => {
    const env = { QARR_FAST_URL: 'http://one:8000/v1, https://two:8000,' };
    const [tier] = readConfig({ env, folder }).tiers;
    expect(tier).toMatchObject({
      engineUrls: ['http://one:8000/v1', 'https://two:8000'],
      engineSource: 'QARR_FAST_URL',
      workers: 2,
    });
  });

  test('keeps the secrets of keys, and its own key, from all but the API', () => {
    const secrets = { QARR_KEY_SECRETS: 'a secret', QARR_KEY_SECRETS_FILE: ' ' };
    const env = { ...secrets, QARR_API_KEY: 'qarr-key', QARR_WEBHOOK_SECRETS: 'whsec_x' };
    const config = readConfig({ env, folder });
    expect(config.keySecrets).toEqual({ QARR_KEY_SECRETS: 'a secret' });
    expect(readConfig({ env: {}, folder }).keySecrets).toBeNull();
    const inFile = { QARR_KEY_SECRETS_FILE: 'keys.secret' };
    expect(readConfig({ env: inFile, folder })).toMatchObject({ keySecrets: inFile });
    expect(Object.keys(config.childEnv)).not.toContain('QARR_KEY_SECRETS');
    expect(Object.keys(config.childEnv)).not.toContain('QARR_KEY_SECRETS_FILE');
    expect(Object.keys(config.childEnv)).not.toContain('QARR_API_KEY');
    expect(readApiKey(env)).toBe('qarr-key');
    expect(readApiKey({ QARR_API_KEY: '' })).toBeUndefined();
  });

  test('treats an empty variable as not set', () => {
    expect(readConfig({ env: { PORT: '', REDIS_URL: ' ' }, folder })).toMatchObject({
      port: 8080,
      redisUrl: null,
    });
  });

  test.each(['QARR_BALANCD_URL', 'QARR_WORKERS_FATS', 'QARR_FASTER_API_KEY'])(
    'refuses %s, which names no tier',
    (name) => {
      expect(() => readConfig({ env: { [name]: 'http://127.0.0.1:1' }, folder })).toThrow(
        `${name} names no tier; the tiers are FAST, BALANCED, PRECISE`,
      );
    },
  );

  test('keeps keys and secrets from what all processes inherit', () => {
    const env = {
      QARR_FAST_API_KEY: 'secret',
      QARR_UPSTREAM_API_KEY: 'secret',
      QARR_WEBHOOK_SECRETS: 'secret',
      QARR_FILES_S3_SECRET_ACCESS_KEY: 'secret',
      AWS_SECRET_ACCESS_KEY: 'secret',
      HOME: '/home',
    };
    const config = readConfig({ env, folder });
    expect(config.childEnv).toEqual({ HOME: '/home', QARR_ALLOW_VOLATILE_REDIS: 'true' });
    expect(config.fileStoreSecrets).toEqual({
      QARR_FILES_S3_SECRET_ACCESS_KEY: 'secret',
      AWS_SECRET_ACCESS_KEY: 'secret',
    });
    expect(config.hasFileStore).toBe(false);
    expect(readConfig({ env: { QARR_FILES_DIR: '/files' }, folder }).hasFileStore).toBe(true);
    expect(config.webhookSecrets).toBe('secret');
  });

  test.each([
    [{ PORT: 'web' }, 'PORT must be a whole number from 0 to 65535 (it is "web")'],
    [{ PORT: '70000' }, 'PORT must be a whole number from 0 to 65535 (it is "70000")'],
    [{ OPS_PORT: '-1' }, 'OPS_PORT must be a whole number from 0 to 65535 (it is "-1")'],
    [{ OPS_PORT: '8080' }, 'OPS_PORT must differ from PORT (both are 8080)'],
    [
      { REDIS_URL: 'http://user:secret@redis' },
      'REDIS_URL must be a URL such as redis://127.0.0.1:6379, redis+sentinel://host:26379,host:26379/name or redis+cluster://host:6379,host:6379',
    ],
    [
      { QARR_FAST_URL: 'gpu:8000' },
      'QARR_FAST_URL must be a URL that begins with http://… or https://…',
    ],
    [
      { QARR_FAST_URL: 'http://gpu:8000,gpu:8001' },
      'QARR_FAST_URL must be a URL that begins with http://… or https://…',
    ],
    [
      { QARR_FAST_URL: 'http://gpu:8000,http://gpu:8000/v1' },
      'QARR_FAST_URL must name each engine once',
    ],
    [
      { QARR_FAST_URL: Array.from({ length: 65 }, (_, index) => `http://gpu-${index}`).join() },
      'QARR_FAST_URL must be at most 64 engines',
    ],
    [
      { QARR_WORKERS_PRECISE: '17' },
      'QARR_WORKERS_PRECISE must be a whole number from 1 to 16 (it is "17")',
    ],
    [
      { QARR_SIM_TIME_SCALE: 'fast' },
      'QARR_SIM_TIME_SCALE must be a number from 0 to 1000 (it is "fast")',
    ],
  ])('refuses %j in one line', (env, message) => {
    expect(problemOf(env)).toBe(message);
  });

  test('says which file is missing, unreadable or wrong', () => {
    expect(problemOf({ QARR_CONFIG: 'missing.yaml' })).toMatch(/^QARR_CONFIG .*missing\.yaml/);
    writeFileSync(path.join(folder, 'bad.yaml'), 'tiers: [');
    expect(problemOf({ QARR_CONFIG: 'bad.yaml' })).toMatch(/^bad\.yaml: /);
    writeFileSync(path.join(folder, 'bad.yaml'), 'tires: []');
    expect(problemOf({ QARR_CONFIG: 'bad.yaml' })).toMatch(/^bad\.yaml: .*tires/);
  });
});
