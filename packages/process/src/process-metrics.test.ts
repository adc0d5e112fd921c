import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Counter, Registry } from 'prom-client';
import { expect, it } from 'vitest';
import { metricsTable } from './metrics-table.ts';
import { createProcessRegistry } from './process-metrics.ts';

const PAGE = join(import.meta.dirname, '../../../docs/metrics.md');

it('says which program runs, and what Node knows of it', async () => {
  const page = await createProcessRegistry({
    component: 'worker',
    pingRedis: async () => 'PONG',
  }).metrics();
  expect(page).toMatch(
    /^qarr_build_info\{component="worker",version="\d+\.\d+\.\d+",node="\d+\.\d+\.\d+"\} 1$/m,
  );
  for (const name of ['process_resident_memory_bytes', 'nodejs_eventloop_lag_p99_seconds']) {
    expect(page).toContain(`\n${name} `);
  }
});

it('says whether Redis answers, and how fast', async () => {
  const answers = { now: true };
  const registry = createProcessRegistry({
    component: 'api',
    pingRedis: () => (answers.now ? Promise.resolve() : Promise.reject(new Error('gone'))),
  });
  const up = await registry.metrics();
  expect(up).toContain('\nqarr_redis_up 1\n');
  const tookS = Number(/^qarr_redis_ping_seconds (.*)$/m.exec(up)?.[1]);
  expect(tookS).toBeGreaterThan(0);
  answers.now = false;
  const down = await registry.metrics();
  expect(down).toContain('\nqarr_redis_up 0\n');
  expect(down).toContain(`\nqarr_redis_ping_seconds ${tookS}\n`);
});

it('waits for no answer that does not come, and asks again only after it', async () => {
  const pings: PromiseWithResolvers<void>[] = [];
  const registry = createProcessRegistry({
    component: 'worker',
    pingMsMax: 10,
    pingRedis() {
      const ping = Promise.withResolvers<void>();
      pings.push(ping);
      return ping.promise;
    },
  });
  for (let page = 0; page < 3; page += 1) {
    const shown = await registry.metrics();
    expect(shown).toContain('\nqarr_redis_up 0\n');
    // There is nothing to tell yet.
    expect(shown).not.toContain('\nqarr_redis_ping_seconds ');
  }
  expect(pings).toHaveLength(1);
  // The answer comes while a page waits: it says that Redis is back, and not for how long it was gone.
  const returning = registry.metrics();
  pings[0]?.resolve();
  const back = await returning;
  expect(back).toContain('\nqarr_redis_up 1\n');
  expect(back).not.toContain('\nqarr_redis_ping_seconds ');
  const next = registry.metrics();
  expect(pings).toHaveLength(2);
  pings[1]?.resolve();
  expect(await next).toContain('\nqarr_redis_up 1\n');
});

it('is documented', () => {
  const registry = createProcessRegistry({ component: 'api', pingRedis: async () => {} });
  const [, section = ''] = readFileSync(PAGE, 'utf8').split('\n## Every process\n');
  const rows = (section.split('\n## ', 1)[0] ?? '').split('\n');
  const documented = rows.filter((row) => row.startsWith('| `'));
  expect(documented.map((row) => row.replaceAll(/ {2,}/g, ' ')).toSorted()).toEqual(
    metricsTable(registry)
      .map((row) => row.replaceAll(/ {2,}/g, ' '))
      .toSorted(),
  );
});

it("is a row for each of our own, with its labels, and none for Node's", () => {
  const registry = new Registry();
  const registers = [registry];
  const labelNames = ['tier', 'state'];
  registry.registerMetric(
    new Counter({ name: 'qarr_x_total', help: 'Counts', labelNames, registers: [] }),
  );
  registry.registerMetric(new Counter({ name: 'nodejs_y_total', help: 'Not ours', registers: [] }));
  expect(registers).toHaveLength(1);
  expect(metricsTable(registry)).toEqual([
    '| `qarr_x_total` | counter | `tier`, `state` | Counts |',
  ]);
});
