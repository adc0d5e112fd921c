import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigurationError } from '@qarr/process';
import { beforeAll, describe, expect, it } from 'vitest';
import { readConfig } from './config.ts';

const UPSTREAM = { QARR_UPSTREAM_URL: 'http://127.0.0.1:8001' };
const FAST = ['--tier', 'fast'];
/** No configuration file by accident: one that says nothing. */
let emptyFile: string;

beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'qarr-config-'));
  emptyFile = join(folder, 'empty.yaml');
  await writeFile(emptyFile, '');
  return () => rm(folder, { recursive: true });
});

async function configFile(yaml: string): Promise<string> {
  const path = join(emptyFile, '..', `${Math.random()}.yaml`);
  await writeFile(path, yaml);
  return path;
}

/** The tiers that the default rules name, the first one with these fields. */
function tiersWith(fields: string): string {
  return `tiers: [{ name: fast, ${fields} }, { name: balanced }, { name: precise }]`;
}

function read(environment: NodeJS.ProcessEnv = {}, argv: readonly string[] = FAST) {
  return readConfig({ argv, environment: { QARR_CONFIG: emptyFile, ...UPSTREAM, ...environment } });
}

function manyUrls(count: number): string {
  return Array.from({ length: count }, (_, index) => `http://engine-${index}`).join();
}

/** The message, which has to be one line. */
function problem(environment: NodeJS.ProcessEnv, argv: readonly string[] = FAST): string {
  try {
    read(environment, argv);
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    expect(error.message).not.toContain('\n');
    return error.message;
  }
  throw new Error('There is no problem');
}

describe("a worker's configuration", () => {
  it('has a default for everything but its engine', () => {
    expect(read()).toEqual({
      tier: { name: 'fast', precision: 'awq-int4', upstreams: [], max_model_len: 2_048 },
      workerId: expect.stringMatching(/^fast-[0-9a-f]{12}$/) as string,
      host: expect.any(String) as string,
      redisUrl: 'redis://127.0.0.1:6379',
      allowVolatileRedis: false,
      upstreamUrls: ['http://127.0.0.1:8001'],
      upstreamApiKey: undefined,
      concurrency: 32,
      warmupRequests: 20,
      canary: { everyMs: 10_000, timeoutMs: 10_000 },
      breaker: {
        failureThreshold: 5,
        resetTimeoutMs: 15_000,
        resetTimeoutMsMax: 300_000,
        successThreshold: 3,
      },
      retriesPerSuccess: 0.1,
      tracing: null,
      opsHost: '127.0.0.1',
      opsPort: 9_464,
      drainMs: 25_000,
      logLevel: 'info',
      timeouts: {
        connectMs: 2_000,
        headersMs: 60_000,
        firstTokenMs: 60_000,
        idleMs: 30_000,
        rateWindowMs: 60_000,
        tokensPerWindowMin: 60,
      },
    });
  });

  it('refuses a longest open time of a breaker that is shorter than its first', () => {
    const variables = { QARR_BREAKER_OPEN_MS: '60000', QARR_BREAKER_OPEN_MS_MAX: '1000' };
    expect(() => read(variables)).toThrow(
      'QARR_BREAKER_OPEN_MS_MAX: must be at least QARR_BREAKER_OPEN_MS, which is 60000',
    );
  });

  it('reads each variable', () => {
    const config = read({
      REDIS_URL: 'rediss://redis:6380/1',
      QARR_ALLOW_VOLATILE_REDIS: 'true',
      QARR_UPSTREAM_API_KEY: 'key',
      QARR_CONCURRENCY: '4',
      QARR_WARMUP_REQUESTS: '0',
      QARR_BREAKER_FAILURES: '0',
      QARR_BREAKER_OPEN_MS: '7',
      QARR_BREAKER_OPEN_MS_MAX: '9',
      QARR_BREAKER_PROBES: '2',
      QARR_RETRY_PERCENT: '200',
      QARR_CANARY_EVERY_MS: '100',
      QARR_CANARY_TIMEOUT_MS: '5',
      OPS_HOST: '0.0.0.0',
      OPS_PORT: '0',
      QARR_DRAIN_MS: '0',
      LOG_LEVEL: 'debug',
      QARR_CONNECT_TIMEOUT_MS: '1',
      QARR_HEADERS_TIMEOUT_MS: '2',
      QARR_FIRST_TOKEN_TIMEOUT_MS: '3',
      QARR_IDLE_TIMEOUT_MS: '4',
      QARR_RATE_WINDOW_MS: '5',
      QARR_RATE_TOKENS_MIN: '0',
    });
    expect(config).toMatchObject({
      redisUrl: 'rediss://redis:6380/1',
      allowVolatileRedis: true,
      upstreamApiKey: 'key',
      concurrency: 4,
      warmupRequests: 0,
      canary: { everyMs: 100, timeoutMs: 5 },
      breaker: {
        failureThreshold: 0,
        resetTimeoutMs: 7,
        resetTimeoutMsMax: 9,
        successThreshold: 2,
      },
      retriesPerSuccess: 2,
      opsHost: '0.0.0.0',
      opsPort: 0,
      drainMs: 0,
      logLevel: 'debug',
      timeouts: {
        connectMs: 1,
        headersMs: 2,
        firstTokenMs: 3,
        idleMs: 4,
        rateWindowMs: 5,
        tokensPerWindowMin: 0,
      },
    });
  });

  it('cannot be changed', () => {
    expect(Object.isFrozen(read())).toBe(true);
  });

  it.each([
    ['QARR_CONCURRENCY', '0', 'must be a whole number from 1 to 4096'],
    ['QARR_CONCURRENCY', '4097', 'must be a whole number from 1 to 4096'],
    ['QARR_CONCURRENCY', '1.5', 'must be a whole number from 1 to 4096'],
    ['QARR_CONCURRENCY', 'many', 'must be a whole number from 1 to 4096'],
    ['QARR_WARMUP_REQUESTS', '1001', 'must be a whole number from 0 to 1000'],
    ['QARR_CANARY_EVERY_MS', '99', 'must be a whole number from 100 to 86400000'],
    ['QARR_CANARY_TIMEOUT_MS', '0', 'must be a whole number from 1 to 3600000'],
    ['QARR_CONNECT_TIMEOUT_MS', '0', 'must be a whole number from 1 to 600000'],
    ['QARR_HEADERS_TIMEOUT_MS', '3600001', 'must be a whole number from 1 to 3600000'],
    ['QARR_FIRST_TOKEN_TIMEOUT_MS', '-1', 'must be a whole number from 1 to 3600000'],
    ['QARR_IDLE_TIMEOUT_MS', 'Infinity', 'must be a whole number from 1 to 3600000'],
    ['QARR_DRAIN_MS', '-1', 'must be a whole number from 0 to 3600000'],
    ['OPS_PORT', '65536', 'must be a whole number from 0 to 65535'],
    ['REDIS_URL', 'http://redis', 'must be a URL such as redis://127.0.0.1:6379'],
    ['QARR_ALLOW_VOLATILE_REDIS', 'maybe', 'must be true or false'],
    ['LOG_LEVEL', 'loud', 'must be fatal, error, warn, info, debug or silent'],
    ['QARR_UPSTREAM_URL', 'ftp://engine', 'must be an http(s) URL'],
    ['QARR_UPSTREAM_URL', 'engine:8000', 'must be an http(s) URL'],
    ['QARR_UPSTREAM_URL', 'engine', 'must be an http(s) URL'],
    ['QARR_UPSTREAM_URL', 'http://a:1,engine', 'must be an http(s) URL'],
    ['QARR_UPSTREAM_URL', 'http://a:1,http://a:1/v1/', 'must name each engine once'],
    ['QARR_UPSTREAM_URL', manyUrls(65), 'must be at most 64 engines'],
    [
      'QARR_UPSTREAM_URL',
      'http://user:secret@engine',
      'must be an http(s) URL without user, query or fragment',
    ],
    [
      'QARR_UPSTREAM_URL',
      'http://engine/?key=secret',
      'must be an http(s) URL without user, query or fragment',
    ],
    [
      'QARR_UPSTREAM_URL',
      'http://engine/#here',
      'must be an http(s) URL without user, query or fragment',
    ],
    ['QARR_UPSTREAM_API_KEY', 'sec\nret', 'must be printable ASCII without spaces'],
    ['QARR_UPSTREAM_API_KEY', 'sécret', 'must be printable ASCII without spaces'],
  ])('says what %s=%s must be', (variable, value, limit) => {
    const line = problem({ [variable]: value });
    expect(line).toMatch(new RegExp(`^${variable}: `));
    expect(line).toContain(limit);
    expect(line).not.toMatch(/s[eé]c\s?ret/);
  });

  it('takes an API key from a file that ends with a newline', () => {
    expect(read({ QARR_UPSTREAM_API_KEY: 'key\n' }).upstreamApiKey).toBe('key');
  });

  it.each([
    ['http://engine:8000', 'http://engine:8000'],
    ['http://engine:8000/', 'http://engine:8000'],
    ['http://engine:8000/v1', 'http://engine:8000'],
    ['http://engine:8000/v1/', 'http://engine:8000'],
    ['http://gateway/models/a/v1', 'http://gateway/models/a'],
  ])('takes the engine at %s with or without /v1', (given, used) => {
    expect(read({ QARR_UPSTREAM_URL: given }).upstreamUrls).toEqual([used]);
  });

  it('takes several engines, separated by commas', () => {
    const { upstreamUrls } = read({ QARR_UPSTREAM_URL: 'http://a:1/v1, http://b:2,' });
    expect(upstreamUrls).toEqual(['http://a:1', 'http://b:2']);
    expect(read({ QARR_UPSTREAM_URL: manyUrls(64) }).upstreamUrls).toHaveLength(64);
  });

  it('asks for a tier', () => {
    expect(problem({}, [])).toBe('say which tier: --tier one of fast, balanced, precise');
  });

  it('knows the tiers', () => {
    expect(problem({}, ['--tier', 'quick'])).toBe(
      '--tier: there is no tier quick; there are fast, balanced, precise',
    );
  });

  it.each([[['--tier']], [['--teir', 'fast']], [['fast']]])('refuses the arguments %j', (argv) => {
    expect(problem({}, argv)).toContain(argv[0]);
  });

  it.each(['', ' , '])('asks for an engine where %j is given', (given) => {
    expect(problem({ QARR_UPSTREAM_URL: given })).toBe(
      `tier fast has no engine: set QARR_UPSTREAM_URL, or the tier's upstreams in ${emptyFile}`,
    );
  });

  it('finds the engine in the configuration file, which the variable replaces', async () => {
    const yaml = tiersWith('model: m, upstreams: ["http://a:1/v1", "http://b:1"]');
    const path = await configFile(yaml);
    const { tier, upstreamUrls } = read({ QARR_CONFIG: path, QARR_UPSTREAM_URL: '' });
    expect(tier.model).toBe('m');
    expect(upstreamUrls).toEqual(['http://a:1', 'http://b:1']);
    expect(read({ QARR_CONFIG: path }).upstreamUrls).toEqual(['http://127.0.0.1:8001']);
  });

  it('finds the number of warm-up requests in the file, which the variable replaces', async () => {
    const path = await configFile(tiersWith('warmup_requests: 3'));
    expect(read({ QARR_CONFIG: path }).warmupRequests).toBe(3);
    expect(read({ QARR_CONFIG: path, QARR_WARMUP_REQUESTS: '4' }).warmupRequests).toBe(4);
  });

  it('says where in the file an engine is wrong', async () => {
    const path = await configFile(tiersWith('upstreams: ["http://u:secret@a:1"]'));
    expect(problem({ QARR_CONFIG: path, QARR_UPSTREAM_URL: '' })).toBe(
      `${path}: upstreams of tier fast: must be an http(s) URL without user, query or fragment`,
    );
  });

  it('says which file is missing', () => {
    expect(problem({ QARR_CONFIG: '/nowhere/qarr.yaml' })).toBe(
      'QARR_CONFIG: there is no file /nowhere/qarr.yaml',
    );
  });
});
