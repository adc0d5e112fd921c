import { expect, test, vi } from 'vitest';
import { jsonOf, startForTest } from '../start-for-test.ts';

test.for([
  [['--enable-server-load-tracking'], 1],
  [[], 0],
] as const)('with %j one open answer is a load of %s', async ([flags, expected]) => {
  const sim = await startForTest('--profile', 'awq-24gb', ...flags);
  const body = { messages: [{ role: 'user', content: 'Hi' }], ignore_eos: true, stream: true };
  const response = await sim.post('/v1/chat/completions', body);
  expect(await loadOf(sim.url)).toBe(expected);
  await response.body?.cancel();
  await vi.waitFor(async () => expect(await loadOf(sim.url)).toBe(0));
});

async function loadOf(url: string): Promise<number> {
  const body = await jsonOf<{ server_load: number }>(await fetch(`${url}/load`));
  return body.server_load;
}
