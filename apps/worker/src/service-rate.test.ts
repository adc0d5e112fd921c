import { costOf } from '@qarr/router-core';
import type { Usage } from '@qarr/router-core';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NO_JOBS_YET, countServed, tokensPerS } from './service-rate.ts';
import type { Served } from './service-rate.ts';

function usage(completion: number, prompt = 16): Usage {
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
  };
}

function served(fields: Partial<Served> = {}): Served {
  return { slotMs: 1_000, usage: usage(100), tokensBefore: 0, ...fields };
}

describe('the rate of a worker', () => {
  it('is unknown before its first job', () => {
    expect(tokensPerS(NO_JOBS_YET, 8)).toBeNull();
  });

  it('is what a slot gets done, for all its slots', () => {
    const rate = countServed(NO_JOBS_YET, served({ slotMs: 500 }));
    expect(tokensPerS(rate, 8)).toBe(8 * 2 * costOf({ promptTokens: 16, generatedTokens: 100 }));
    expect(tokensPerS(rate, 0)).toBe(0);
    expect(rate).toMatchObject({ slotMs: { value: 500 }, outputTokens: { value: 100 } });
  });

  it('counts each job by its size', () => {
    const long = countServed(NO_JOBS_YET, served({ slotMs: 9_900, usage: usage(989) }));
    const rate = countServed(long, served({ slotMs: 100, usage: usage(9) }));
    // 990 and 10 tokens in 10 s.
    expect(tokensPerS(rate, 1)).toBeCloseTo(100, 9);
  });

  it('leaves out what earlier attempts have made', () => {
    const carriedOn = served({ usage: usage(100), tokensBefore: 80 });
    const rate = countServed(NO_JOBS_YET, carriedOn);
    expect(tokensPerS(rate, 1)).toBe(costOf({ promptTokens: 16, generatedTokens: 20 }));
    expect(rate.outputTokens?.value).toBe(100);
  });

  it.each([
    ['an engine does not count', { usage: null }, null],
    ['nobody knows what was made before', { tokensBefore: null }, 100],
  ])('stays unknown where %s, though jobs are served', (_name, fields, outputTokens) => {
    const rate = countServed(NO_JOBS_YET, served(fields));
    expect(tokensPerS(rate, 8)).toBeNull();
    expect(rate.slotMs?.value).toBe(1_000);
    expect(rate.outputTokens?.value ?? null).toBe(outputTokens);
  });

  it('follows when jobs change, within some tens of them', () => {
    let rate = NO_JOBS_YET;
    for (let job = 0; job < 1_000; job += 1) rate = countServed(rate, served());
    const before = tokensPerS(rate, 1) ?? 0;
    for (let job = 0; job < 50; job += 1) rate = countServed(rate, served({ slotMs: 2_000 }));
    expect(tokensPerS(rate, 1)).toBeCloseTo(before / 2, 0);
  });

  it('lies between the slowest and the fastest job', () => {
    const jobs = fc.array(
      fc.record({
        slotMs: fc.integer({ min: 1, max: 600_000 }),
        usage: fc.nat(4_000).map((tokens) => usage(tokens)),
        tokensBefore: fc.constant(0),
      }),
      { minLength: 1, maxLength: 60 },
    );
    fc.assert(
      fc.property(jobs, (all) => {
        const rates = all.map((job) => tokensPerS(countServed(NO_JOBS_YET, job), 1) ?? 0);
        const rate = tokensPerS(all.reduce(countServed, NO_JOBS_YET), 1) ?? 0;
        expect(rate).toBeGreaterThanOrEqual(Math.min(...rates) * 0.999);
        expect(rate).toBeLessThanOrEqual(Math.max(...rates) * 1.001);
      }),
    );
  });
});
