import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { readConfig } from '../config.ts';

const secret = (bytes = 32) => `whsec_${randomBytes(bytes).toString('base64')}`;
const read = (variables: Record<string, string>) => readConfig({ ...variables }).webhooks;
const keyOf = (text: string) => Buffer.from(text.slice('whsec_'.length), 'base64');

it('is off where nothing is set, with defaults for the rest', () => {
  expect(read({})).toEqual({
    keys: [],
    ports: [443, 8443],
    allowPrivate: false,
    dnsServers: null,
    timeoutMs: 15_000,
    retriesMs: [
      5_000, 300_000, 1_800_000, 7_200_000, 18_000_000, 36_000_000, 50_400_000, 72_000_000,
      86_400_000,
    ],
    concurrency: 64,
    hostConcurrency: 4,
    answerBytesMax: 65_536,
  });
});

describe('the secrets', () => {
  it('are one or two, of 24 to 64 bytes', () => {
    const [one, two] = [secret(24), secret(64)];
    expect(read({ QARR_WEBHOOK_SECRETS: one }).keys).toEqual([keyOf(one)]);
    expect(read({ QARR_WEBHOOK_SECRETS: `${one}, ${two}` }).keys).toEqual([keyOf(one), keyOf(two)]);
  });

  it('come from a file, too', () => {
    const folder = mkdtempSync(join(tmpdir(), 'qarr-secrets-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const path = join(folder, 'secrets');
    const [one, two] = [secret(), secret()];
    writeFileSync(path, `${one}\n${two}\n`);
    expect(read({ QARR_WEBHOOK_SECRETS_FILE: path }).keys).toEqual([keyOf(one), keyOf(two)]);
  });

  it.each([
    ['no prefix', randomBytes(32).toString('base64')],
    ['too short', secret(23)],
    ['too long', secret(65)],
    ['not base64', 'whsec_hunter2hunter2hunter2hunter2hunter2!!!!'],
    ['base64 of URLs', `whsec_${Buffer.alloc(32, 255).toString('base64url')}`],
    ['three', `${secret()},${secret()},${secret()}`],
    ['only commas', ','],
  ])('are refused when they are %s, without being repeated', (_name, value) => {
    const run = () => read({ QARR_WEBHOOK_SECRETS: value });
    expect(run).toThrow(/^QARR_WEBHOOK_SECRETS: must hold one or two secrets: whsec_ and 24 to 64/);
    expect(run).not.toThrow(value.slice(-12));
  });

  it('are refused from two places, and from none', () => {
    const both = { QARR_WEBHOOK_SECRETS: secret(), QARR_WEBHOOK_SECRETS_FILE: '/x' };
    expect(() => read(both)).toThrow(/^QARR_WEBHOOK_SECRETS_FILE: set it or/);
    expect(() => read({ QARR_WEBHOOK_SECRETS_FILE: '/does/not/exist' })).toThrow(
      /^QARR_WEBHOOK_SECRETS_FILE: there is no file/,
    );
  });
});

it('reads lists', () => {
  const variables = {
    QARR_WEBHOOK_PORTS: '443, 9443',
    QARR_WEBHOOK_RETRIES_MS: '1,20',
    QARR_WEBHOOK_DNS_SERVERS: '9.9.9.9,127.0.0.1:5353,[2620:fe::fe]:53,2620:fe::9',
  };
  expect(read(variables)).toMatchObject({
    ports: [443, 9443],
    retriesMs: [1, 20],
    dnsServers: ['9.9.9.9', '127.0.0.1:5353', '[2620:fe::fe]:53', '2620:fe::9'],
  });
  expect(read({ QARR_WEBHOOK_RETRIES_MS: 'none' }).retriesMs).toEqual([]);
});

it.each([
  ['QARR_WEBHOOK_PORTS', '443,https'],
  ['QARR_WEBHOOK_PORTS', '0'],
  ['QARR_WEBHOOK_PORTS', '65536'],
  ['QARR_WEBHOOK_RETRIES_MS', '0'],
  ['QARR_WEBHOOK_RETRIES_MS', '5 s'],
  ['QARR_WEBHOOK_RETRIES_MS', '604800001'],
  ['QARR_WEBHOOK_RETRIES_MS', Array(101).fill('1').join(',')],
  ['QARR_WEBHOOK_DNS_SERVERS', 'dns.example.com'],
  ['QARR_WEBHOOK_DNS_SERVERS', '1.2.3'],
  ['QARR_WEBHOOK_ALLOW_PRIVATE', 'perhaps'],
  ['QARR_WEBHOOK_TIMEOUT_MS', '60001'],
  ['QARR_WEBHOOK_CONCURRENCY', '0'],
])('refuses %s=%s in one line that names it', (name, value) => {
  expect(() => read({ [name]: value })).toThrow(new RegExp(`^${name}: must be [^\\n]+$`));
});
