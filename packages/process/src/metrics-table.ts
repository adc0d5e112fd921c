import type { Registry } from 'prom-client';

/** The metrics of a registry as the rows of the table in the documentation: ours, not Node's own. */
export function metricsTable(registry: Registry): string[] {
  return registry
    .getMetricsAsArray()
    .filter(({ name }) => name.startsWith('qarr_'))
    .map((metric) => {
      const { name, type, help } = metric;
      // The types of prom-client do not show it.
      const { labelNames = [] } = metric as { labelNames?: readonly string[] };
      const labels = labelNames.map((label) => `\`${label}\``).join(', ');
      return `| \`${name}\` | ${type} | ${labels} | ${help} |`;
    });
}
