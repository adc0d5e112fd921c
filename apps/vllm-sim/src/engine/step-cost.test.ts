import { expect, test } from 'vitest';
import { findProfile, type Profile } from '../profiles.ts';
import { stepCostMs } from './step-cost.ts';

function profile(name: string): Profile {
  const found = findProfile(name);
  if (found === undefined) throw new Error(`no profile ${name}`);
  return found;
}

test('a small batch costs the reading of the weights', () => {
  expect(stepCostMs(profile('awq-24gb'), { tokensInStep: 1, kvTokens: 0 })).toBeCloseTo(8.7);
  expect(stepCostMs(profile('awq-24gb'), { tokensInStep: 20, kvTokens: 0 })).toBeCloseTo(8.7);
});

test('a large batch costs its arithmetic, and context its reading', () => {
  expect(stepCostMs(profile('awq-24gb'), { tokensInStep: 100, kvTokens: 0 })).toBeCloseTo(25);
  expect(stepCostMs(profile('awq-24gb'), { tokensInStep: 1, kvTokens: 10_000 })).toBeCloseTo(10);
});

test('4 bits win alone and lose their lead in a large batch', () => {
  const alone = { tokensInStep: 1, kvTokens: 0 };
  const crowd = { tokensInStep: 128, kvTokens: 0 };
  const fast = profile('awq-24gb');
  const balanced = profile('fp8-l40s');
  expect(stepCostMs(fast, alone)).toBeLessThan(stepCostMs(balanced, alone));
  expect(stepCostMs(fast, crowd)).toBeGreaterThan(stepCostMs(balanced, crowd));
});

test('instant costs nothing', () => {
  expect(stepCostMs(profile('instant'), { tokensInStep: 8192, kvTokens: 100_000 })).toBe(0);
});
