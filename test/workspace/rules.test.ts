/** The rules of Prometheus and the configurations beside them, by their own tools and by ours. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { ERROR_TABLE } from '@qarr/router-core';
import { describe, expect, it, onTestFinished } from 'vitest';
import { parse, stringify } from 'yaml';
import { TOOLS_HINT, findTool, runPrometheusTool } from '../harness/prometheus-tools.ts';
import {
  familyOf,
  filesOf,
  readMetricsPage,
  readQueries,
  readRules,
  takeApart,
} from '../harness/watching.ts';

const alerts = readRules().filter(({ alert }) => alert !== undefined);
const hasTools = findTool('promtool') !== null;

it('is checked by the tools of Prometheus and Alertmanager', ({ skip }) => {
  if (!hasTools && process.env['QARR_REQUIRE_PROMETHEUS'] === '1') throw new Error(TOOLS_HINT);
  skip(!hasTools, TOOLS_HINT);
});

describe.skipIf(!hasTools)('promtool', () => {
  it('accepts the configuration and the rules', () => {
    const { code, output } = runPrometheusTool('promtool', [
      'check',
      'config',
      'deploy/prometheus/prometheus.yml',
      'deploy/prometheus/prometheus-local.yml',
    ]);
    expect({ code, output }).toMatchObject({ code: 0 });
    expect(output.match(/rules found/g)).toHaveLength(2 * 5);
  });

  // Debian's promtool knows nothing of Kubernetes: all else is looked at without it.
  it('accepts the configuration for Kubernetes', () => {
    const [{ text } = { text: '' }] = filesOf('deploy/prometheus/prometheus-kubernetes.yml');
    const config = parse(text) as { scrape_configs: Record<string, unknown>[] };
    for (const scrape of config.scrape_configs) {
      expect(scrape['kubernetes_sd_configs']).toBeInstanceOf(Array);
      delete scrape['kubernetes_sd_configs'];
      scrape['static_configs'] = [{ targets: ['localhost:9464'] }];
    }
    const folder = mkdtempSync(join(tmpdir(), 'qarr-prometheus-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const file = join(folder, 'prometheus.yml');
    writeFileSync(file, stringify({ ...config, rule_files: [] }));
    expect(runPrometheusTool('promtool', ['check', 'config', file])).toMatchObject({ code: 0 });
  });

  it('finds that every alert is raised when it should, and only then', () => {
    const tests = filesOf('deploy/prometheus/tests/*.yml').map(({ path }) => path);
    const { code, output } = runPrometheusTool('promtool', ['test', 'rules', ...tests]);
    expect({ code, output }).toMatchObject({ code: 0 });
    expect(output.match(/SUCCESS/g)).toHaveLength(tests.length);
  });
});

describe('the alerts', () => {
  it('each have a test in which they are raised, and one in which they are not', () => {
    const raised = new Set<string>();
    const quiet = new Set<string>();
    for (const { text } of filesOf('deploy/prometheus/tests/*.yml')) {
      const { tests } = parse(text) as {
        tests: { alert_rule_test: { alertname: string; exp_alerts: unknown[] }[] }[];
      };
      for (const { alertname, exp_alerts: expected } of tests.flatMap((t) => t.alert_rule_test)) {
        (expected.length > 0 ? raised : quiet).add(alertname);
      }
    }
    const names = alerts.map(({ alert = '' }) => alert).toSorted();
    expect(names.length).toBeGreaterThan(15);
    expect([...raised].toSorted()).toEqual(names);
    expect([...quiet].toSorted()).toEqual(names);
  });

  it('each name their page, and no page is without an alert', () => {
    const pages = filesOf('docs/runbooks/*.md').map(({ path }) => basename(path, '.md'));
    expect(alerts.map(({ alert = '' }) => alert).toSorted()).toEqual(
      pages.filter((name) => name !== 'README').toSorted(),
    );
    for (const { alert = '', annotations, labels } of alerts) {
      expect(annotations).toEqual({
        summary: expect.any(String),
        runbook: `docs/runbooks/${alert}.md`,
      });
      expect(['warning', 'page']).toContain(labels?.['severity']);
    }
  });

  it('stand in the list of the run books, with their severity', () => {
    const [{ text } = { text: '' }] = filesOf('docs/runbooks/README.md');
    const rows = [...text.matchAll(/^\| \[`(\w+)`\]\(\1\.md\) +\| (\w+) /gm)];
    expect(rows.map(([, name, severity]) => `${name} ${severity}`).toSorted()).toEqual(
      alerts.map(({ alert, labels }) => `${alert} ${labels?.['severity']}`).toSorted(),
    );
  });
});

describe('the queries of rules and dashboards', () => {
  const { labels: documented, values } = readMetricsPage();
  const recorded = new Map(
    readRules().flatMap(({ record, expr }) => (record === undefined ? [] : [[record, expr]])),
  );

  it('name only metrics and series that are documented or recorded', () => {
    const families = new Set(documented.keys());
    const unknown = readQueries().flatMap(({ from, text }) =>
      takeApart(text)
        // Prometheus' own, and those that the test of a whole system looks for.
        .metrics.filter((metric) => !/^(vllm:|process_|nodejs_|up$|ALERTS$)/.test(metric))
        .filter((metric) => !recorded.has(metric) && familyOf(metric, families) === null)
        .map((metric) => `${from}: ${metric}`),
    );
    expect(unknown).toEqual([]);
  });

  it('ask for labels that those have, and for values that these can have', () => {
    const families = new Set(documented.keys());
    const wrong: string[] = [];
    for (const { from, text } of readQueries()) {
      for (const { metric, label, operator, value } of takeApart(text).matchers) {
        const own = documented.get(familyOf(metric, families) ?? '');
        if (own === undefined || ['job', 'instance', 'le'].includes(label)) continue;
        if (!own.includes(label)) wrong.push(`${from}: ${metric} has no ${label}`);
        const isCode = ['code', 'cause'].includes(label);
        const known = isCode ? Object.keys(ERROR_TABLE) : values.get(label);
        const asked = operator.endsWith('~') ? value.split('|') : [value];
        for (const one of asked.filter((its) => !its.startsWith('$'))) {
          if (known?.includes(one) === false) wrong.push(`${from}: ${label} is never ${one}`);
        }
      }
    }
    expect(wrong).toEqual([]);
  });

  it('leave none out of which nobody would ever hear', () => {
    // Of what is recorded, all is asked for by an alert or a panel.
    const asked = new Set(readQueries().flatMap(({ text }) => takeApart(text).metrics));
    expect([...recorded.keys()].filter((name) => !asked.has(name))).toEqual([]);
  });
});

describe('the dashboards', () => {
  const [{ text: provisioned } = { text: '' }] = filesOf(
    'deploy/grafana/provisioning/datasources/*',
  );
  const { datasources } = parse(provisioned) as { datasources: { uid: string }[] };
  const dashboards = filesOf('deploy/grafana/dashboards/*.json').map(
    ({ text }) => JSON.parse(text) as Dashboard,
  );

  it('have names of their own, and ask only what is provisioned', () => {
    expect(dashboards.length).toBeGreaterThan(2);
    expect(new Set(dashboards.map(({ uid }) => uid)).size).toBe(dashboards.length);
    const known = new Set(datasources.map(({ uid }) => uid));
    const asked = dashboards.flatMap(({ panels }) =>
      panels.flatMap(({ targets = [] }) => targets.map(({ datasource }) => datasource.uid)),
    );
    expect(asked.filter((uid) => !known.has(uid))).toEqual([]);
  });

  it('have panels that do not lie on each other', () => {
    for (const { title, panels } of dashboards) {
      expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
      const taken = new Map<string, string>();
      for (const panel of panels) {
        const { x, y, w, h } = panel.gridPos;
        expect(x + w).toBeLessThanOrEqual(24);
        for (let cell = 0; cell < w * h; cell += 1) {
          const place = `${x + (cell % w)}/${y + Math.floor(cell / w)}`;
          expect(taken.get(place) ?? title).toBe(title);
          taken.set(place, `${title}: ${panel.title}`);
        }
      }
    }
  });
});

interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly panels: readonly {
    readonly id: number;
    readonly title: string;
    readonly gridPos: { x: number; y: number; w: number; h: number };
    readonly targets?: readonly { datasource: { uid: string } }[];
  }[];
}
