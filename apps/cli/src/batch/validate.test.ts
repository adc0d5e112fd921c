/** What is counted as good is what would run. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createDeployment } from '@qarr/router-core';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { validateFile } from './validate.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'qarr-validate-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

async function validate(bodies: readonly object[], asJson: boolean) {
  const file = path.join(folder, 'in.jsonl');
  const messages = [{ role: 'user', content: 'Hi' }];
  const lines = bodies.map((fields, index) => {
    const body = { messages, ...fields };
    return JSON.stringify({
      custom_id: `${index}`,
      method: 'POST',
      url: '/v1/chat/completions',
      body,
    });
  });
  writeFileSync(file, lines.join('\n'));
  let stdout = '';
  const problem: unknown = await validateFile({
    input: { path: file, bytes: 0, filename: 'in.jsonl', async remove() {} },
    endpoint: undefined,
    policy: createDeployment(undefined).policy,
    asJson,
    stdout: { write: (text) => (stdout += text) },
    signal: new AbortController().signal,
  }).catch((error: unknown) => error);
  return { problem, stdout };
}

const BODIES = [
  { tier: 'fast' },
  { tier: 'gold' },
  { temperature: 9 },
  { model: 'gpt-4' },
  { model: 'precise' },
  { model: 'auto', tier: 'fast' },
];

test('counts refused lines and unknown models apart', async () => {
  const { problem, stdout } = await validate(BODIES, false);
  expect(problem).toMatchObject({
    exitCode: 1,
    message: expect.stringContaining('2 of its lines'),
  });
  expect(stdout.split('\n')).toEqual([
    expect.stringMatching(/^line 2: unknown_tier: /),
    expect.stringMatching(/^line 3: \w+: temperature /),
    'lines whose model is no tier, good only where an engine serves it: 1',
    expect.stringMatching(/^4 good lines for \S+ fast 3, precise 1$/),
    '',
  ]);
  const found = JSON.parse((await validate(BODIES, true)).stdout);
  expect(found).toMatchObject({ valid: false, lines: 4, refused_count: 2, unknown_models: 1 });
});

test('an unknown model alone is no mistake', async () => {
  expect((await validate([{ model: 'org/model' }], false)).problem).toBeUndefined();
});
