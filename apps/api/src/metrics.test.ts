import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { metricsTable } from '@qarr/process';
import { NO_LOAD, tierSnapshot } from '@qarr/router-core';
import { expect, it } from 'vitest';
import { createApiMetrics } from './metrics.ts';

const PAGE = join(import.meta.dirname, '../../../docs/metrics.md');

it('is documented, metric by metric, and nothing else is', () => {
  const { registry } = createApiMetrics({
    snapshots: () => [],
    webhookBacklog: async () => 0,
  });
  const [, section = ''] = readFileSync(PAGE, 'utf8').split('\n## The API\n');
  const rows = section.split('\n## ', 1)[0]?.split('\n') ?? [];
  const documented = rows.filter((row) => row.startsWith('| `')).map(unpadded);
  // Those that every process has stand in a table of their own.
  const own = metricsTable(registry).filter(
    (row) => !/`qarr_(build_|redis_up|redis_ping)/.test(row),
  );
  expect(documented.toSorted()).toEqual(own.map(unpadded).toSorted());
});

it('has every code of a refusal from the start, so that the first of its kind is an increase', async () => {
  const page = await createApiMetrics({
    snapshots: () => [],
    webhookBacklog: async () => 0,
  }).registry.metrics();
  expect(page).toContain('qarr_refused_total{code="overloaded"} 0');
});

it('shows what is still to be done as it is now, and as it was while nobody can tell', async () => {
  let backlog = { jobs: 3, batches: 1, overdueMs: 1_500 };
  let isGone = false;
  const { registry } = createApiMetrics({
    snapshots: () => [],
    webhookBacklog: async () => 0,
    backlog: () => (isGone ? Promise.reject(new Error('gone')) : Promise.resolve(backlog)),
  });
  const shown = async () =>
    (await registry.metrics()).match(/^qarr_(jobs_open|batches_open|jobs_overdue_seconds) .*/gm);
  const before = ['qarr_jobs_open 3', 'qarr_batches_open 1', 'qarr_jobs_overdue_seconds 1.5'];
  expect(await shown()).toEqual(before);
  isGone = true;
  expect(await shown()).toEqual(before);
  isGone = false;
  backlog = { jobs: 0, batches: 0, overdueMs: 0 };
  expect(await shown()).toEqual([
    'qarr_jobs_open 0',
    'qarr_batches_open 0',
    'qarr_jobs_overdue_seconds 0',
  ]);
});

it('tells nothing any more of what it has known for too long', async () => {
  let ageMs = 0;
  let isGone = false;
  const status = { name: 'fast', depth: 0, load: NO_LOAD, workers: [] };
  const failing = async <T>(value: T) => (isGone ? Promise.reject(new Error('gone')) : value);
  const { registry } = createApiMetrics({
    snapshots: () => [tierSnapshot(status)],
    statuses: () => [status],
    memory: () => ({ usedBytes: 1, limitBytes: 2 }),
    webhookBacklog: () => failing(3),
    backlog: () => failing({ jobs: 3, batches: 1, overdueMs: 1_500 }),
    ageMs: () => ageMs,
  });
  const shown = async () => {
    const series = (await registry.metrics()).match(
      /^qarr_(queue_|jobs_(running|open|overdue)|tier_|batches_|webhook_backlog|redis_memory)[^ ]*/gm,
    );
    return series ?? [];
  };
  const all = await shown();
  expect(all).toHaveLength(3 + 3 + 1 + 1 + 3 + 1 + 2);
  isGone = true;
  ageMs = 29_000;
  expect(await shown()).toEqual(all);
  ageMs = 31_000;
  expect(await shown()).toEqual([]);
  isGone = false;
  ageMs = 0;
  expect((await shown()).toSorted()).toEqual(all.toSorted());
});

it('counts what the store has ended by itself, and no other change', async () => {
  const metrics = createApiMetrics({ snapshots: () => [], webhookBacklog: async () => 0 });
  for (const to of ['queued', 'rerouted', 'expired', 'deleted'] as const) {
    metrics.changed({ tier: 'fast', class: 'batch', to });
  }
  metrics.changed({ tier: 'fast', class: 'standard', to: 'deleted', wasOpen: true });
  for (const cause of ['run_timeout', undefined] as const) {
    metrics.changed({ tier: 'precise', class: 'batch', to: 'failed', cause });
  }
  const page = await metrics.registry.metrics();
  expect(page.match(/^qarr_jobs_failed_total.*/gm)).toEqual([
    'qarr_jobs_failed_total{tier="precise",cause="run_timeout"} 1',
    'qarr_jobs_failed_total{tier="precise",cause="unknown"} 1',
  ]);
  expect(page.match(/^qarr_jobs_total.*/gm)).toEqual([
    'qarr_jobs_total{tier="fast",class="batch",outcome="expired"} 1',
    'qarr_jobs_total{tier="fast",class="standard",outcome="deleted"} 1',
    'qarr_jobs_total{tier="precise",class="batch",outcome="failed"} 2',
  ]);
});

it('counts uploads and rounds of the sweep by how they end', async () => {
  const metrics = createApiMetrics({ snapshots: () => [], webhookBacklog: async () => 0 });
  const refused = Promise.reject(new Error('no'));
  await expect(metrics.upload(refused)).rejects.toThrow('no');
  expect(await metrics.upload(Promise.resolve({ bytes: 7 }))).toEqual({ bytes: 7 });
  const open = metrics.upload(new Promise<{ bytes: number }>(() => {}));
  await expect(metrics.sweep(Promise.reject(new Error('no')))).rejects.toThrow('no');
  await metrics.sweep(Promise.resolve());
  const page = await metrics.registry.metrics();
  for (const line of [
    'qarr_uploads_total{outcome="refused"} 1',
    'qarr_uploads_total{outcome="stored"} 1',
    'qarr_upload_bytes_total 7',
    'qarr_uploads_open 1',
    'qarr_sweep_failures_total 1',
    'qarr_sweep_seconds_count 2',
  ]) {
    expect(page).toContain(`\n${line}\n`);
  }
  expect(open).toBeInstanceOf(Promise);
});

function unpadded(row: string): string {
  return row.replaceAll(/ {2,}/g, ' ');
}
