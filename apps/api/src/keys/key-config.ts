/** The switches of keys and of browsers, and what they mean. */
import { isIP } from 'node:net';
import { ConfigurationError, milliseconds } from '@qarr/process';
import ipaddr from 'ipaddr.js';
import { z } from 'zod';
import { readSecretFile } from '../secret-file.ts';

/** Enough that nobody finds it by trying. */
const SECRET_CHARS_MIN = 32;
/** A secret of fewer different characters was typed, not drawn: 32 random hex digits have 14. */
const DIFFERENT_CHARS_MIN = 8;
/** Each one more is another digest to look for with every key. */
const SECRETS_MAX = 4;
const ORIGINS_MAX = 64;

const secretVariables = {
  QARR_KEY_SECRETS: z
    .string()
    .optional()
    .describe(
      'Turns API keys on: the secret, of at least 32 characters, by which they are stored. Up to four, separated by commas, newest first, while one is replaced. Not set: no keys, and a loopback `HOST` only',
    ),
  QARR_KEY_SECRETS_FILE: z
    .string()
    .optional()
    .describe('A file that holds the same, in place of the variable; a line break separates, too'),
};

export const keyVariables = {
  ...secretVariables,
  QARR_READ_TOKEN_MS: milliseconds(1_000, 86_400_000)
    .default(300_000)
    .describe('How long a token of `POST /v1/jobs/{id}/token` may be used, in ms'),
  QARR_CORS_ORIGINS: z
    .string()
    .optional()
    .describe(
      'Origins whose pages may use the API, such as https://app.example.com, separated by commas, or `*` for all. Not set: none',
    ),
};

/** What the operator's tool reads. */
export const keySecretsSchema = z.object(secretVariables);

export interface KeyConfig {
  /** Newest first; without any there are no keys. */
  readonly secrets: readonly string[];
  readonly readTokenMs: number;
}

const variablesSchema = z.object(keyVariables);

/** Throws a ConfigurationError of one line that never repeats a secret. */
export function keyConfig(variables: z.output<typeof variablesSchema>): KeyConfig {
  return { secrets: keySecrets(variables), readTokenMs: variables.QARR_READ_TOKEN_MS };
}

export function keySecrets({
  QARR_KEY_SECRETS: inline,
  QARR_KEY_SECRETS_FILE: path,
}: z.output<typeof keySecretsSchema>): string[] {
  if (inline !== undefined && path !== undefined) {
    throw new ConfigurationError('QARR_KEY_SECRETS_FILE: set it or QARR_KEY_SECRETS, not both');
  }
  if (path !== undefined)
    return secretsIn(readSecretFile('QARR_KEY_SECRETS_FILE', path), 'QARR_KEY_SECRETS_FILE');
  return inline === undefined ? [] : secretsIn(inline, 'QARR_KEY_SECRETS');
}

/** Where everybody may do everything, nobody but this machine may come. */
export function requireLoopback(host: string, { secrets }: Pick<KeyConfig, 'secrets'>): void {
  if (secrets.length > 0 || isLoopback(host)) return;
  throw new ConfigurationError(
    `HOST: without keys the API binds to a loopback address only, and ${host} is none: set QARR_KEY_SECRETS to turn keys on, or HOST=127.0.0.1`,
  );
}

/** `*` for all; null for none. */
export function corsOrigins({
  QARR_CORS_ORIGINS: text,
}: Pick<z.output<typeof variablesSchema>, 'QARR_CORS_ORIGINS'>): readonly string[] | '*' | null {
  if (text === undefined) return null;
  const origins = itemsOf(text);
  if (origins.length === 1 && origins[0] === '*') return '*';
  if (origins.length > 0 && origins.length <= ORIGINS_MAX && origins.every(isOrigin))
    return origins;
  throw new ConfigurationError(
    `QARR_CORS_ORIGINS: must be * or 1 to ${ORIGINS_MAX} origins such as https://app.example.com, without a path`,
  );
}

function isLoopback(host: string): boolean {
  const address = host.replaceAll(/^\[|\]$/g, '');
  if (isIP(address) === 0) return address === 'localhost';
  return ipaddr.process(address).range() === 'loopback';
}

/** As browsers write it, so that it can be compared. */
function isOrigin(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && ['http:', 'https:'].includes(url.protocol) && url.origin === text;
}

function secretsIn(text: string, name: string): string[] {
  const secrets = itemsOf(text.replaceAll(/[\r\n]+/g, ','));
  if (secrets.length >= 1 && secrets.length <= SECRETS_MAX && secrets.every(isStrong)) {
    return secrets;
  }
  throw new ConfigurationError(
    `${name}: must hold one to ${SECRETS_MAX} random secrets of at least ${SECRET_CHARS_MIN} characters, such as \`openssl rand -base64 32\` makes`,
  );
}

function isStrong(secret: string): boolean {
  return secret.length >= SECRET_CHARS_MIN && new Set(secret).size >= DIFFERENT_CHARS_MIN;
}

function itemsOf(text: string): string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}
