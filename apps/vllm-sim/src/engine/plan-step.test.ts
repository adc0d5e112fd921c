import { expect, test } from 'vitest';
import { planStep } from './plan-step.ts';
import type { Progress } from './sequence.ts';

const limits = { sequencesMax: 4, batchedTokensMax: 100 };

function waitingPrompt(promptTokens: number): Progress {
  return { promptTokens, generatedTokens: 0, computedTokens: 0 };
}

function decoding(contextTokens: number): Progress {
  return { promptTokens: contextTokens, generatedTokens: 1, computedTokens: contextTokens };
}

test('a decoding sequence computes one token and reads its whole context', () => {
  const running = [decoding(30), decoding(50)];
  const plan = planStep({ running, waiting: [] }, limits);
  expect(plan).toEqual({
    work: running.map((sequence) => ({ sequence, tokens: 1 })),
    admitted: 0,
    tokensInStep: 2,
    kvTokens: 80,
  });
});

test('waiting sequences are admitted in order while the token budget lasts', () => {
  const waiting = [waitingPrompt(60), waitingPrompt(60), waitingPrompt(1)];
  const plan = planStep({ running: [decoding(10)], waiting }, limits);
  expect(plan.admitted).toBe(2);
  expect(plan.work.map(({ tokens }) => tokens)).toEqual([1, 60, 39]);
});

test('a prompt in chunks goes on where it stopped', () => {
  const half = { promptTokens: 150, generatedTokens: 0, computedTokens: 100 };
  const plan = planStep({ running: [half], waiting: [] }, limits);
  expect(plan.work).toEqual([{ sequence: half, tokens: 50 }]);
});

test('no more sequences run than there are places', () => {
  const running = [decoding(1), decoding(1), decoding(1)];
  const plan = planStep({ running, waiting: [waitingPrompt(1), waitingPrompt(1)] }, limits);
  expect(plan.admitted).toBe(1);
});
