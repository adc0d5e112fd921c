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

function unpadded(row: string): string {
  return row.replaceAll(/ {2,}/g, ' ');
}
