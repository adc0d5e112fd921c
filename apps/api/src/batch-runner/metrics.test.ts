import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { metricsTable } from '@qarr/process';
import { expect, it } from 'vitest';
import { createRunnerMetrics } from './metrics.ts';

const PAGE = join(import.meta.dirname, '../../../../docs/metrics.md');

it('is documented, metric by metric, and nothing else is', () => {
  const { registry } = createRunnerMetrics({ windows: () => new Map() });
  const [, section = ''] = readFileSync(PAGE, 'utf8').split('\n## The batch runner\n');
  const rows = section.split('\n## ', 1)[0]?.split('\n') ?? [];
  const documented = rows.filter((row) => row.startsWith('| `')).map(unpadded);
  // Those that every process has stand in a table of their own.
  const own = metricsTable(registry).filter(
    (row) => !/`qarr_(build_|redis_up|redis_ping)/.test(row),
  );
  expect(documented.toSorted()).toEqual(own.map(unpadded).toSorted());
});

it('has its counters of each tier from the start, so that the first of its kind is an increase', async () => {
  const { registry } = createRunnerMetrics({ tiers: ['fast'], windows: () => new Map() });
  const page = await registry.metrics();
  expect(page).toContain('qarr_batch_lines_fed_total{tier="fast"} 0');
  expect(page).toContain('qarr_jobs_total{tier="fast",class="batch",outcome="failed"} 0');
});

function unpadded(row: string): string {
  return row.replaceAll(/ {2,}/g, ' ');
}
