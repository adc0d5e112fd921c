import { EventEmitter } from 'node:events';
import type { ServerResponse } from 'node:http';
import { expect, onTestFinished, test, vi } from 'vitest';
import { startForTest, textOf } from '../start-for-test.ts';
import { createEventStream } from './event-stream.ts';
import { keepAlive } from './keep-alive.ts';

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

test('a stream that speaks is left alone, and one that ended too', () => {
  vi.useFakeTimers();
  onTestFinished(() => {
    vi.useRealTimers();
  });
  const written: string[] = [];
  const response = Object.assign(new EventEmitter(), {
    write: (text: string) => written.push(text),
    end() {},
  }) as unknown as ServerResponse;
  const stream = keepAlive(createEventStream(response), { response, intervalMs: 100 });
  for (let event = 0; event < 5; event += 1) {
    vi.advanceTimersByTime(80);
    stream.send('{}');
  }
  expect(written).toEqual(Array.from({ length: 5 }, () => 'data: {}\n\n'));
  vi.advanceTimersByTime(120);
  expect(written.at(-1)).toBe(': keep-alive\n\n');
  stream.end();
  vi.advanceTimersByTime(1_000);
  expect(written).toHaveLength(6);
});
