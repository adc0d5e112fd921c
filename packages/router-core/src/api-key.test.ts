import { describe, expect, it } from 'vitest';
import { isAbove, isUsable, keyGrantSchema, lowered } from './api-key.ts';

const text = (until: number | null) => ({ digest: 'd', lastFour: 'abcd', until });

describe('a key', () => {
  it('is good until it ends, by the last of its texts', () => {
    expect(isUsable({ revokedAt: null, texts: [text(null)] }, 1_000)).toBe(true);
    expect(isUsable({ revokedAt: null, texts: [text(1_001)] }, 1_000)).toBe(true);
    expect(isUsable({ revokedAt: null, texts: [text(1_000)] }, 1_000)).toBe(false);
    expect(isUsable({ revokedAt: null, texts: [text(500), text(2_000)] }, 1_000)).toBe(true);
  });

  it('is not good once it is revoked', () => {
    expect(isUsable({ revokedAt: 5, texts: [text(null)] }, 1_000)).toBe(false);
  });

  it('has an owner that can be part of a name', () => {
    const grant = { scopes: ['read'], maxClass: 'standard', rpm: 1, concurrency: 1 };
    const parse = (owner: string) =>
      keyGrantSchema.safeParse({ ...grant, tokensPerDay: null, owner }).success;
    expect(['acme', '0', 'a-b_c', 'a'.repeat(64)].map(parse)).not.toContain(false);
    expect(['', 'A', '-a', 'a:b', 'a b', 'ä', 'a'.repeat(65)].map(parse)).not.toContain(true);
  });
});

describe('the highest class', () => {
  it.each([
    ['interactive', 'standard', 'standard'],
    ['interactive', 'batch', 'batch'],
    ['standard', 'batch', 'batch'],
    ['standard', 'standard', 'standard'],
    ['batch', 'interactive', 'batch'],
  ] as const)('%s under %s is %s', (asked, max, result) => {
    expect(lowered(asked, max)).toBe(result);
    expect(isAbove(asked, max)).toBe(result !== asked);
  });
});
