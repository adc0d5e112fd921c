/** What a key looks like to its holder, and the digest by which it is known here. */
import { createHmac, createSecretKey, hkdfSync, randomBytes } from 'node:crypto';

/** Whoever finds one somewhere sees what it is. */
const PREFIX = 'qarr-';
const KEY_BYTES = 32;
const FORM = /^qarr-[\w-]{43}$/;
const LAST_CHARS = 4;
const DERIVED_BYTES = 32;
/** Enough to tell a few secrets apart. */
const SECRET_NAME_CHARS = 6;

export function newKeyText(): string {
  return PREFIX + randomBytes(KEY_BYTES).toString('base64url');
}

/** Nothing else is looked for. */
export function hasKeyForm(text: string): boolean {
  return FORM.test(text);
}

/** What a list may show of it. */
export function lastFour(text: string): string {
  return text.slice(-LAST_CHARS);
}

export interface Digests {
  /** By which new keys are stored. */
  newest(text: string): string;
  /** One for each secret, newest first. */
  all(text: string): string[];
  /** Whether it was made under one of the secrets. */
  isUnder(digest: string): boolean;
}

/**
 * A digest names the secret under which it was made, by which nobody learns the secret.
 *
 * @param secrets newest first, at least one
 */
export function createDigests(secrets: readonly string[]): Digests {
  const named = secrets.map((secret) => ({
    // As a key, not as bytes: those would be made one for each text.
    key: createSecretKey(deriveKey(secret, 'qarr api keys')),
    name: `${deriveKey(secret, 'qarr api keys, name').toString('base64url').slice(0, SECRET_NAME_CHARS)}.`,
  }));
  const all = (text: string) =>
    named.map(({ key, name }) => name + createHmac('sha256', key).update(text).digest('base64url'));
  return {
    all,
    newest: (text) => all(text)[0] ?? '',
    isUnder: (digest) => named.some(({ name }) => digest.startsWith(name)),
  };
}

/** For each purpose another one, so that what is made for one is worth nothing elsewhere. */
export function deriveKey(secret: string, purpose: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, '', purpose, DERIVED_BYTES));
}
