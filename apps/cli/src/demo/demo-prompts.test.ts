import { DEFAULT_POLICY, classify } from '@qarr/router-core';
import { expect, test } from 'vitest';
import { DEMO_PROMPTS } from './demo-prompts.ts';

test.each(DEMO_PROMPTS)('the default rules send its question to $tier', (demo) => {
  const request = { prompt: demo.prompt, max_tokens: demo.maxTokens };
  expect(classify(request, DEFAULT_POLICY).tier).toBe(demo.tier);
});
