import { SignJWT } from 'jose';
import { describe, expect, it } from 'vitest';
import { deriveKey } from './key-text.ts';
import { createReadTokens } from './read-token.ts';

const SECRETS = ['new-secret-of-more-than-32-characters', 'old-secret-of-more-than-32-characters'];
const NOW = 1_800_000_000_000;
const CLAIMS = { keyId: 'key_1', jobId: 'job_1' };

function tokens({ secrets = SECRETS, now = NOW } = {}) {
  return createReadTokens({ secrets, forMs: 60_000, now: () => now });
}

describe('a token to read with', () => {
  it('is good for its job, until it is over', async () => {
    const { token, expiresAt } = await tokens().issue(CLAIMS);
    expect(expiresAt).toBe(NOW + 60_000);
    expect(await tokens().verify(token, 'job_1')).toBe('key_1');
    expect(await tokens({ now: expiresAt - 1_000 }).verify(token, 'job_1')).toBe('key_1');
    await expect(tokens({ now: expiresAt }).verify(token, 'job_1')).rejects.toMatchObject({
      code: 'invalid_api_key',
    });
  });

  it('is not good for another job', async () => {
    const { token } = await tokens().issue(CLAIMS);
    await expect(tokens().verify(token, 'job_2')).rejects.toMatchObject({
      code: 'invalid_api_key',
    });
  });

  it('is good while the secret that signed it is there', async () => {
    const [, old = ''] = SECRETS;
    const { token } = await tokens({ secrets: [old] }).issue(CLAIMS);
    expect(await tokens().verify(token, 'job_1')).toBe('key_1');
    const without = tokens({ secrets: [SECRETS[0] ?? ''] });
    await expect(without.verify(token, 'job_1')).rejects.toMatchObject({ code: 'invalid_api_key' });
  });

  it.each([
    ['another algorithm', { alg: 'HS512', aud: 'job events', exp: NOW / 1_000 + 60, purpose: '' }],
    ['another purpose', { alg: 'HS256', aud: 'admin', exp: NOW / 1_000 + 60, purpose: '' }],
    ['no end', { alg: 'HS256', aud: 'job events', exp: null, purpose: '' }],
    [
      "the keys' own secret",
      { alg: 'HS256', aud: 'job events', exp: NOW / 1_000 + 60, purpose: 'qarr api keys' },
    ],
  ])('is refused with %s', async (_name, { alg, aud, exp, purpose }) => {
    const secret = deriveKey(SECRETS[0] ?? '', purpose || 'qarr read tokens');
    const unsigned = new SignJWT({ key: 'key_1', job: 'job_1' })
      .setProtectedHeader({ alg })
      .setAudience(aud);
    if (exp !== null) unsigned.setExpirationTime(exp);
    const token = await unsigned.sign(secret);
    await expect(tokens().verify(token, 'job_1')).rejects.toMatchObject({
      code: 'invalid_api_key',
    });
  });
});
