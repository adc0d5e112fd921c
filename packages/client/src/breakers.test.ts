import { expect, test, vi, onTestFinished } from 'vitest';
import { createBreakers } from './breakers.ts';
import { QarrClientError } from './errors.ts';
import type { BreakerChange } from './options.ts';

function clocked() {
  vi.useFakeTimers({ toFake: ['performance'] });
  onTestFinished(() => void vi.useRealTimers());
}

function failure(status: number | undefined, code = 'upstream_error'): QarrClientError {
  return new QarrClientError({ code, message: '', retryable: true, status });
}

async function outcome(call: Promise<unknown>): Promise<unknown> {
  return call.catch((error: unknown) => (error instanceof QarrClientError ? error.code : error));
}

function watched(settings = {}) {
  const changes: BreakerChange[] = [];
  const breakers = createBreakers({
    breaker: settings,
    onBreakerChange: (change) => changes.push(change),
  });
  const fail = (error: unknown, tier = 'fast') =>
    outcome(
      breakers.guard(tier, async () => {
        throw error;
      }),
    );
  const succeed = (tier = 'fast') => outcome(breakers.guard(tier, async () => 'fine'));
  return { breakers, changes, fail, succeed };
}

test('opens after five hard failures, for half a minute or so, and closes after three successes', async () => {
  clocked();
  const { changes, fail, succeed } = watched();
  for (let time = 0; time < 4; time += 1) await fail(failure(502));
  await succeed();
  for (let time = 0; time < 4; time += 1) await fail(failure(502));
  expect(changes).toEqual([]);
  await fail(failure(undefined, 'network_error'));
  expect(changes).toEqual([{ tier: 'fast', from: 'closed', to: 'open' }]);
  expect(await succeed()).toBe('breaker_open');
  // Another tier is another matter.
  expect(await succeed('precise')).toBe('fine');

  vi.advanceTimersByTime(23_999);
  expect(await succeed()).toBe('breaker_open');
  vi.advanceTimersByTime(12_002);
  expect([await succeed(), await succeed()]).toEqual(['fine', 'fine']);
  expect(changes.at(-1)).toEqual({ tier: 'fast', from: 'open', to: 'half_open' });
  await succeed();
  expect(changes.at(-1)).toEqual({ tier: 'fast', from: 'half_open', to: 'closed' });
});

test('lets one call at a time through when it is half-open, also after one that was given up', async () => {
  clocked();
  const { breakers, fail, succeed } = watched({ failureThreshold: 1, resetTimeoutMs: 1_000 });
  await fail(failure(500));
  vi.advanceTimersByTime(1_201);
  const probe = Promise.withResolvers<string>();
  const probing = outcome(breakers.guard('fast', () => probe.promise));
  expect(await succeed()).toBe('breaker_open');
  probe.reject(new QarrClientError({ code: 'aborted', message: '', retryable: false }));
  expect(await probing).toBe('aborted');
  expect(await succeed()).toBe('fine');
  await fail(failure(500));
  expect(await succeed()).toBe('breaker_open');
});

test('is not moved by refusals', async () => {
  const { changes, fail } = watched({ failureThreshold: 1 });
  await fail(failure(429, 'rate_limit_exceeded'));
  await fail(failure(400, 'invalid_request'));
  await fail(failure(503, 'overloaded'));
  await fail(failure(503, 'queue_full'));
  await fail(failure(undefined, 'aborted'));
  await fail(new Error('no key'));
  expect(changes).toEqual([]);
  await fail(failure(503, 'tier_unavailable'));
  expect(changes).toHaveLength(1);
});

test('says how long it will be open', async () => {
  const { breakers, fail } = watched({ failureThreshold: 1 });
  await fail(failure(500));
  const refused = await breakers.guard('fast', async () => 1).catch((error: unknown) => error);
  expect(refused).toMatchObject({ code: 'breaker_open', retryable: false });
  expect((refused as QarrClientError).retryAfterMs).toBeGreaterThan(20_000);
});

test('hears of failures elsewhere, and of nothing good', async () => {
  const { breakers, changes } = watched({ failureThreshold: 2 });
  breakers.tell('fast', failure(500));
  breakers.tell('fast', failure(400));
  breakers.tell('fast', failure(500));
  breakers.tell('fast', failure(500));
  expect(changes).toHaveLength(1);
});

test('keeps a bounded number of them', async () => {
  const { breakers, fail, succeed } = watched({ failureThreshold: 1 });
  await fail(failure(500));
  for (let tier = 0; tier < 64; tier += 1) await breakers.guard(`tier-${tier}`, async () => 1);
  expect(await succeed()).toBe('fine');
});
