import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { readConfig } from '../config.ts';

const SECRET = 'q1w2e3r4t5y6u7i8o9p0a1s2d3f4g5h6';
const read = (variables: Record<string, string>) => readConfig({ ...variables });

describe('the secrets of keys', () => {
  it('turn keys on, newest first', () => {
    expect(read({}).keys.secrets).toEqual([]);
    const older = SECRET.toUpperCase();
    expect(read({ QARR_KEY_SECRETS: `${SECRET}, ${older}` }).keys.secrets).toEqual([SECRET, older]);
  });

  it('may come from a file', () => {
    const folder = mkdtempSync(join(tmpdir(), 'qarr-secrets-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const path = join(folder, 'secrets');
    writeFileSync(path, `${SECRET}\n${SECRET}2\n`);
    const file = { QARR_KEY_SECRETS_FILE: path };
    expect(read(file).keys.secrets).toEqual([SECRET, `${SECRET}2`]);
    expect(() => read({ ...file, QARR_KEY_SECRETS: SECRET })).toThrow('not both');
    expect(() => read({ QARR_KEY_SECRETS_FILE: '/none' })).toThrow('there is no file /none');
  });

  it.each([
    ['short', SECRET.slice(1)],
    ['of few characters', 'abcdefg'.repeat(10)],
    ['short in second place', `${SECRET},secret`],
    ['too many', Array.from({ length: 5 }, () => SECRET).join(',')],
    ['no secrets at all', ',,,,,,,,,,,'],
  ])('are refused where they are %s, and not repeated', (_name, value) => {
    const line = /^QARR_KEY_SECRETS: must hold one to 4 random secrets of at least 32 characters/;
    expect(() => read({ QARR_KEY_SECRETS: value })).toThrow(line);
    expect(() => read({ QARR_KEY_SECRETS: value })).not.toThrow(value.slice(0, 10) || 'x');
  });
});

describe('the address to bind to', () => {
  it.each(['127.0.0.1', '127.8.9.1', '::1', '[::1]', 'localhost', '::ffff:127.0.0.1'])(
    'may be %s without keys',
    (host) => {
      expect(read({ HOST: host }).host).toBe(host);
    },
  );

  it.each(['0.0.0.0', '::', '10.0.0.1', '192.168.1.1', 'example.com', '1270.0.0.1'])(
    'may be %s only with keys',
    (host) => {
      const line = `HOST: without keys the API binds to a loopback address only, and ${host} is none: set QARR_KEY_SECRETS to turn keys on, or HOST=127.0.0.1`;
      expect(() => read({ HOST: host })).toThrow(line);
      expect(read({ HOST: host, QARR_KEY_SECRETS: SECRET }).host).toBe(host);
    },
  );
});

describe('the origins of pages', () => {
  it('are none, some, or all', () => {
    expect(read({}).corsOrigins).toBeNull();
    expect(read({ QARR_CORS_ORIGINS: '*' }).corsOrigins).toBe('*');
    const some = 'https://app.example.com, http://127.0.0.1:3000';
    expect(read({ QARR_CORS_ORIGINS: some }).corsOrigins).toEqual([
      'https://app.example.com',
      'http://127.0.0.1:3000',
    ]);
  });

  it.each(['https://a.example/', 'a.example', 'null', 'https://a.example,*'])(
    'are not %s',
    (value) => {
      expect(() => read({ QARR_CORS_ORIGINS: value })).toThrow(/^QARR_CORS_ORIGINS: must be \*/);
    },
  );
});
