/**
 * Tokens for readers that cannot send a header, such as a browser's EventSource: for the events of one
 * job, for a short time, instead of a key. They are signed and stored nowhere.
 */
import { QarrError } from '@qarr/router-core';
import { SignJWT, jwtVerify } from 'jose';
import { z } from 'zod';
import { deriveKey } from './key-text.ts';

const ALGORITHM = 'HS256';
const AUDIENCE = 'job events';
/** Ours have some 300. */
const CHARS_MAX = 1_024;
const SECOND_MS = 1_000;

const claimsSchema = z.object({ key: z.string(), job: z.string() });

export interface ReadTokens {
  /** `expiresAt`: milliseconds since the epoch. */
  issue(claims: { keyId: string; jobId: string }): Promise<{ token: string; expiresAt: number }>;
  /** The key for which it was issued; throws unless it is good now and for this job. */
  verify(token: string, jobId: string): Promise<string>;
}

/** @param secrets newest first, at least one */
export function createReadTokens({
  secrets,
  forMs,
  now = Date.now,
}: {
  secrets: readonly string[];
  forMs: number;
  /** Milliseconds since the epoch. */
  now?: () => number;
}): ReadTokens {
  const keys = secrets.map((secret) => deriveKey(secret, 'qarr read tokens'));
  const [newest] = keys;

  async function claimsOf(token: string): Promise<z.output<typeof claimsSchema>> {
    for (const key of token.length > CHARS_MAX ? [] : keys) {
      try {
        const { payload } = await jwtVerify(token, key, {
          algorithms: [ALGORITHM],
          audience: AUDIENCE,
          requiredClaims: ['exp'],
          currentDate: new Date(now()),
        });
        return claimsSchema.parse(payload);
      } catch {
        // Another secret may have signed it; why it is wrong is nothing that its holder must know.
      }
    }
    throw refused();
  }

  return {
    async issue({ keyId, jobId }) {
      if (newest === undefined) throw new Error('There is no secret to sign with');
      const expiresS = Math.ceil((now() + forMs) / SECOND_MS);
      const token = await new SignJWT({ key: keyId, job: jobId })
        .setProtectedHeader({ alg: ALGORITHM })
        .setAudience(AUDIENCE)
        .setExpirationTime(expiresS)
        .sign(newest);
      return { token, expiresAt: expiresS * SECOND_MS };
    },

    async verify(token, jobId) {
      const { key, job } = await claimsOf(token);
      if (job !== jobId) throw refused();
      return key;
    },
  };
}

function refused(): QarrError {
  return new QarrError('invalid_api_key', {
    message: 'The token is not valid for this job, or not any more.',
  });
}
