import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { metricsTable } from '@qarr/process';
import type { UpstreamStatus } from '@qarr/router-core';
import { expect, it } from 'vitest';
import { createWorkerMetrics } from './metrics.ts';

const PAGE = join(import.meta.dirname, '../../../docs/metrics.md');

it('is documented, metric by metric, and nothing else is', () => {
  const { registry } = createWorkerMetrics({
    tier: 'fast',
    host: 'host',
    slots: () => ({ running: 0, free: 0, batch: 0 }),
  });
  const [, section = ''] = readFileSync(PAGE, 'utf8').split('\n## The worker\n');
  const rows = section.split('\n## ', 1)[0]?.split('\n') ?? [];
  const documented = rows.filter((row) => row.startsWith('| `')).map(unpadded);
  // Those that every process has stand in a table of their own.
  const own = metricsTable(registry).filter(
    (row) => !/`qarr_(build_|redis_up|redis_ping)/.test(row),
  );
  expect(documented.toSorted()).toEqual(own.map(unpadded).toSorted());
});

it('has every outcome from the start, so that the first of its kind is an increase', async () => {
  const { registry } = createWorkerMetrics({
    tier: 'fast',
    host: 'host',
    slots: () => ({ running: 0, free: 0, batch: 0 }),
  });
  const page = await registry.metrics();
  expect(page).toContain('qarr_jobs_total{tier="fast",class="batch",outcome="failed"} 0');
  expect(page).toContain('qarr_jobs_failed_total{tier="fast",cause="upstream_error"} 0');
  expect(page).toContain('qarr_jobs_stalled_total{tier="fast"} 0');
  expect(page).toContain('qarr_retries_total{tier="fast",burns="try"} 0');
});

it('tells engines apart that have the same loopback address on several hosts', async () => {
  const [one, other] = await Promise.all(
    ['pod-1', 'pod-2'].map(async (host) => {
      const { registry, onBreaker } = createWorkerMetrics({
        tier: 'fast',
        host,
        slots: () => ({ running: 0, free: 0, batch: 0 }),
        upstreams: () => [statusOf('http://127.0.0.1:8000'), statusOf('http://engine:8000')],
      });
      onBreaker('http://127.0.0.1:8000', 'open');
      const lines = (await registry.metrics()).split('\n');
      return lines.filter((line) => line.includes('upstream="'));
    }),
  );
  const metrics = new Set(one?.map((line) => line.split('{', 1)[0]));
  expect(metrics).toContain('qarr_breaker_state');
  expect(metrics).toContain('qarr_upstream_state');
  expect(metrics).toContain('qarr_breaker_transitions_total');
  const shared = one?.filter((line) => other?.includes(line));
  expect(shared?.length).toBeGreaterThan(0);
  expect(shared?.filter((line) => !line.includes('upstream="http://engine:8000"'))).toEqual([]);
});

function statusOf(url: string): UpstreamStatus {
  const known = { waiting: 0, kv_usage: 0.5, preemptions: 0, model: 'm', version: null };
  const state = { state: 'ready', breaker: 'closed', running: 0, slots: 1 } as const;
  return { url, ...state, ...known, max_model_len: null };
}

function unpadded(row: string): string {
  return row.replaceAll(/ {2,}/g, ' ');
}
