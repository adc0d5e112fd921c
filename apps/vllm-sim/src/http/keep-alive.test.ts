import { expect, test } from 'vitest';
import { startForTest, textOf } from '../start-for-test.ts';

const messages = [{ role: 'user', content: 'Hi' }];

test('a silent stream gets comments when asked for, and none otherwise', async () => {
  const body = { messages, max_tokens: 3, stream: true };
  // Steps of some 180 ms, in which many intervals fit.
  const slow = ['--profile', 'awq-24gb', '--time-scale', '20'];
  const sim = await startForTest(...slow, '--sse-keep-alive-interval', '0.01');
  const text = await (await sim.post('/v1/chat/completions', body)).text();
  expect(text).toContain('\n\n: keep-alive\n\n');
  const quiet = await startForTest();
  const plain = await (await quiet.post('/v1/chat/completions', body)).text();
  expect(plain).not.toContain('keep-alive');
  expect(textOf(text.replaceAll(': keep-alive\n\n', ''))).toBe(textOf(plain));
});
