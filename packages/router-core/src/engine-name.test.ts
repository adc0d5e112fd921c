import { expect, test } from 'vitest';
import { engineName } from './engine-name.ts';

test.each([
  'http://127.0.0.1:8000',
  'http://localhost',
  'https://[::1]:8000/llm',
  'http://LOCALHOST:1',
  'http://engine.localhost:1',
  'http://127.1:8000',
  'http://0.0.0.0:8000',
  'http://[::]:8000',
  'http://[::ffff:127.0.0.1]:8000',
])('%s is another engine on each host', (url) => {
  expect(engineName(url, { host: 'one' })).not.toBe(engineName(url, { host: 'two' }));
  expect(engineName(url, { host: 'one' })).toBe(engineName(url, { host: 'one' }));
});

test.each([
  'http://10.0.0.1:8000',
  'http://localhost.example:8000',
  'http://127.example',
  'http://[::ffff:10.0.0.1]:8000',
  'http://[2001:db8::1]:8000',
  'http://gpu/127.0.0.1',
])('%s is the same engine everywhere', (url) => {
  expect(engineName(url, { host: 'one' })).toBe(engineName(url, { host: 'two' }));
});
