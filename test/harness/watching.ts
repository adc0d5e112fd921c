/** What the files under deploy/ ask Prometheus for: rules and dashboards. */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parser } from '@prometheus-io/lezer-promql';
import { parse } from 'yaml';

const ROOT = join(import.meta.dirname, '../..');

export interface Rule {
  readonly alert?: string;
  readonly record?: string;
  readonly expr: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** A question to Prometheus, and who asks it. */
export interface Query {
  readonly from: string;
  readonly text: string;
}

export interface Matcher {
  readonly metric: string;
  readonly label: string;
  readonly operator: string;
  readonly value: string;
}

export function readRules(): Rule[] {
  return filesOf('deploy/prometheus/rules/*.yml').flatMap(({ text }) => {
    const { groups } = parse(text) as { groups: { rules: Rule[] }[] };
    return groups.flatMap(({ rules }) => rules);
  });
}

/** Every query of a rule, a panel or a variable. */
export function readQueries(): Query[] {
  const ofRules = readRules().map(({ alert, record, expr }) => ({
    from: alert ?? record ?? '',
    text: expr,
  }));
  const ofDashboards = filesOf('deploy/grafana/dashboards/*.json').flatMap(({ path, text }) => {
    const found: Query[] = [];
    // Panels have targets, in rows too, and variables a query of their own.
    JSON.parse(text, (key, value: unknown) => {
      if (key === 'expr' && typeof value === 'string') found.push({ from: path, text: value });
      return value;
    });
    return found;
  });
  return [...ofRules, ...ofDashboards];
}

export function filesOf(pattern: string): { path: string; text: string }[] {
  return globSync(pattern, { cwd: ROOT })
    .toSorted()
    .map((path) => ({ path, text: readFileSync(join(ROOT, path), 'utf8') }));
}

/** What the page of metrics says: the labels of each metric, and the values that a label can have. */
export function readMetricsPage(): {
  labels: ReadonlyMap<string, readonly string[]>;
  values: ReadonlyMap<string, readonly string[]>;
} {
  const [{ text } = { text: '' }] = filesOf('docs/metrics.md');
  return { labels: labelsByMetric(text), values: valuesByLabel(text) };
}

/** Throws where the query does not parse. */
export function takeApart(text: string): {
  metrics: string[];
  labels: string[];
  matchers: Matcher[];
} {
  // What Grafana puts in place of its own variables.
  const query = text.replaceAll(/\$__(rate_interval|interval|range)/g, '5m');
  const metrics: string[] = [];
  const labels: string[] = [];
  const matchers: Matcher[] = [];
  let metric = '';
  parser.parse(query).iterate({
    enter({ name, from, to, node }) {
      if (name === '⚠') throw new Error(`No PromQL at ${from}: ${query}`);
      const words = query.slice(from, to);
      if (name === 'Identifier') {
        metric = words;
        metrics.push(words);
      }
      if (name === 'LabelName') labels.push(words);
      if (name === 'UnquotedLabelMatcher') {
        const [label, operator, value] = ['LabelName', 'MatchOp', 'StringLiteral'].map((part) => {
          const child = node.getChild(part);
          return child === null ? '' : query.slice(child.from, child.to);
        });
        matchers.push({
          metric,
          label: label ?? '',
          operator: operator ?? '',
          value: (value ?? '').slice(1, -1),
        });
      }
    },
  });
  return { metrics, labels, matchers };
}

/** The name under which a process tells of a series: that of its histogram, where it is one's. */
export function familyOf(metric: string, families: ReadonlySet<string>): string | null {
  if (families.has(metric)) return metric;
  const histogram = metric.replace(/_(bucket|sum|count)$/, '');
  return families.has(histogram) ? histogram : null;
}

/** From the tables of the page: `| `name` | type | `label`, ... | meaning |`. */
function labelsByMetric(page: string): Map<string, string[]> {
  const rows = page.matchAll(/^\| `(qarr_\w+)` +\| \w+ +\| ([^|]*)\|/gm);
  return new Map(
    [...rows].map(([, name = '', labels = '']) => [
      name,
      [...labels.matchAll(/`(\w+)`/g)].map(([, label = '']) => label),
    ]),
  );
}

/** A label that several metrics have stands there once for each; one that another page lists is left out. */
function valuesByLabel(page: string): Map<string, string[]> {
  const [, section = ''] = page.split('\n## Labels\n');
  const rows = [...section.matchAll(/^\| `(\w+)`[^|]*\|([^|]*)\|/gm)];
  const elsewhere = new Set(
    rows.filter(([, , cell = '']) => cell.includes('](')).map(([, label]) => label),
  );
  const values = new Map<string, string[]>();
  for (const [, label = '', cell = ''] of rows) {
    if (elsewhere.has(label)) continue;
    const own = [...cell.matchAll(/`([\w-]+)`/g)].map(([, value = '']) => value);
    values.set(label, [...(values.get(label) ?? []), ...own]);
  }
  return values;
}
