import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createDeployment } from '@qarr/router-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { ConfigurationError, readDeployment, readEnvironment } from './configuration.ts';
import { commonVariables, milliseconds, port, wholeNumber } from './environment.ts';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'qarr-configuration-'));
  return () => rm(folder, { recursive: true });
});

async function fileWith(yaml: string): Promise<string> {
  const path = join(folder, `${Math.random()}.yaml`);
  await writeFile(path, yaml);
  return path;
}

/** The message of a configuration error, which has to be one line. */
function problem(read: () => unknown): string {
  try {
    read();
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    expect(error.message).not.toContain('\n');
    return error.message;
  }
  throw new Error('There is no problem');
}

describe('the configuration file', () => {
  it('may be absent at its default path, which means the defaults', () => {
    const path = join(folder, 'absent.yaml');
    const { tiers } = readDeployment({ path, isDefault: true });
    expect(tiers).toEqual(createDeployment(undefined).tiers);
  });

  it('may not be absent where somebody said it is', () => {
    const path = join(folder, 'absent.yaml');
    expect(problem(() => readDeployment({ path, isDefault: false }))).toBe(
      `QARR_CONFIG: there is no file ${path}`,
    );
  });

  it.each(['', '# only a comment', 'null', '{}'])(
    'means the defaults when it says %j',
    async (yaml) => {
      const path = await fileWith(yaml);
      const { tiers } = readDeployment({ path, isDefault: false });
      expect(tiers).toEqual(createDeployment(undefined).tiers);
    },
  );

  it('replaces what it names, and keeps the other defaults', async () => {
    const yaml = [
      'tiers:',
      '  - { name: fast, upstreams: ["http://a:8000"] }',
      '  - name: balanced',
      '  - name: precise',
    ];
    const path = await fileWith(yaml.join('\n'));
    const { tiers } = readDeployment({ path, isDefault: false });
    expect(tiers[0]).toEqual({
      name: 'fast',
      precision: 'unknown',
      upstreams: ['http://a:8000'],
      max_model_len: 8_192,
    });
    expect(tiers.map(({ name }) => name)).toEqual(['fast', 'balanced', 'precise']);
  });

  it.each([
    [
      'two values in one line',
      'tiers: a: b',
      'Nested mappings are not allowed in compact mappings at line 1, column 8',
    ],
    ['a key twice', 'tiers: []\ntiers: []', 'Map keys must be unique at line 2, column 1'],
    ['tabs', 'tiers:\n\t- name: fast', 'Tabs are not allowed as indentation at line 2, column 1'],
    ['an unknown key', 'teirs: []', 'Unrecognized key: "teirs"'],
    [
      'an unknown key of a tier',
      'tiers: [{ name: fast, upstream: "http://a" }]',
      'tiers.0: Unrecognized key: "upstream"',
    ],
    ['no tier', 'tiers: []', 'tiers: Too small'],
    ['a bad name', 'tiers: [{ name: Fast }]', 'tiers.0.name: must be 1 to 32 of a-z'],
    ['another document', 'just words', 'expected object'],
  ])('with %s is refused in one line', async (_name, yaml, words) => {
    const path = await fileWith(yaml);
    const line = problem(() => readDeployment({ path, isDefault: false }));
    expect(line.startsWith(`${path}: `)).toBe(true);
    expect(line).toContain(words);
    expect(line).not.toMatch(/:$/);
  });

  it('that cannot be read is refused in one line', () => {
    expect(problem(() => readDeployment({ path: folder, isDefault: false }))).toContain('EISDIR');
  });
});

describe('variables', () => {
  const schema = z.object(commonVariables);

  it('have defaults', () => {
    expect(readEnvironment(schema, {})).toEqual({
      REDIS_URL: 'redis://127.0.0.1:6379',
      QARR_ALLOW_VOLATILE_REDIS: false,
      OPS_HOST: '127.0.0.1',
      OPS_PORT: 9_464,
      QARR_DRAIN_MS: 25_000,
      LOG_LEVEL: 'info',
    });
  });

  it.each(['', ' ', '\t\n'])('that hold %j count as absent', (value) => {
    const variables = { OPS_PORT: value, QARR_DRAIN_MS: value, LOG_LEVEL: value, REDIS_URL: value };
    expect(readEnvironment(schema, variables)).toEqual(readEnvironment(schema, {}));
  });

  it('that nobody knows are left alone', () => {
    expect(readEnvironment(schema, { PATH: '/bin' })).not.toHaveProperty('PATH');
  });

  it.each([
    ['OPS_PORT', '-1', 'OPS_PORT: must be a whole number from 0 to 65535'],
    ['OPS_PORT', '80.5', 'OPS_PORT: must be a whole number from 0 to 65535'],
    ['QARR_DRAIN_MS', 'soon', 'QARR_DRAIN_MS: must be a whole number from 0 to 3600000'],
    ['QARR_ALLOW_VOLATILE_REDIS', '2', 'QARR_ALLOW_VOLATILE_REDIS: must be true or false'],
    [
      'REDIS_URL',
      'http://:secret@redis',
      'REDIS_URL: must be a URL such as redis://127.0.0.1:6379, redis+sentinel://host:26379,host:26379/name or redis+cluster://host:6379,host:6379',
    ],
    ['LOG_LEVEL', 'all', 'LOG_LEVEL: must be fatal, error, warn, info, debug or silent'],
  ])('%s=%s is refused in one line', (variable, value, line) => {
    expect(problem(() => readEnvironment(schema, { [variable]: value }))).toBe(line);
  });

  it('are bounded at both ends', () => {
    const bounded = z.object({ A: wholeNumber(2, 3), B: milliseconds(0, 1), C: port() });
    expect(readEnvironment(bounded, { A: '2', B: '1', C: '65535' })).toEqual({
      A: 2,
      B: 1,
      C: 65_535,
    });
    expect(problem(() => readEnvironment(bounded, { A: '1', B: '0', C: '0' }))).toContain('A: ');
    expect(problem(() => readEnvironment(bounded, { A: '3', B: '2', C: '0' }))).toContain('B: ');
    expect(problem(() => readEnvironment(bounded, { B: '0', C: '0' }))).toBe(
      'A: must be a whole number from 2 to 3',
    );
  });
});
