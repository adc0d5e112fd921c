import type { Histogram } from './histogram.ts';

export type Labels = Readonly<Record<string, string>>;

/** One metric with its help text and its lines, in Prometheus text format 0.0.4. */
export type Family = {
  readonly name: string;
  readonly help: string;
  readonly type: 'gauge' | 'counter' | 'histogram';
  readonly samples: readonly string[];
};

type Named = { name: string; help: string };
/** Makes families that all have the same labels. */
export type Families = {
  gauge(named: Named & { value: number }): Family;
  counter(named: Named & { value: number }): Family;
  /** One series per value of one more label. */
  series(
    named: Named & {
      type: 'gauge' | 'counter';
      label: string;
      values: readonly { value: string; count: number }[];
    },
  ): Family;
  /** `show` says which of the histogram's bounds there are; all, unless given. */
  histogram(named: Named & { source: Histogram; show?: (bound: number) => boolean }): Family;
  /** A gauge of 1 whose labels are the information, and no others. */
  info(named: Named & { labels: Labels }): Family;
};

export function createFamilies(labels: Labels): Families {
  function scalar(type: 'gauge' | 'counter', { name, help, value }: Named & { value: number }) {
    return { name, help, type, samples: [sampleLine(name, labels, value)] };
  }

  return {
    gauge: (options) => scalar('gauge', options),
    counter: (options) => scalar('counter', options),
    series: ({ name, help, type, label, values }) => ({
      name,
      help,
      type,
      samples: values.map(({ value, count }) =>
        sampleLine(name, { ...labels, [label]: value }, count),
      ),
    }),
    histogram({ name, help, source, show = () => true }) {
      const { buckets, sum, count } = source.read();
      const bucketLine = (le: string, value: number) =>
        sampleLine(`${name}_bucket`, { ...labels, le }, value);
      return {
        name,
        help,
        type: 'histogram',
        samples: [
          ...buckets
            .filter(({ le }) => show(le))
            .map((bucket) => bucketLine(floatText(bucket.le), bucket.count)),
          bucketLine('+Inf', count),
          sampleLine(`${name}_count`, labels, count),
          sampleLine(`${name}_sum`, labels, sum),
        ],
      };
    },
    info: ({ name, help, labels: information }) => ({
      name,
      help,
      type: 'gauge',
      samples: [sampleLine(name, information, 1)],
    }),
  };
}

export function familyText(family: Family): string {
  const head = `# HELP ${family.name} ${family.help}\n# TYPE ${family.name} ${family.type}\n`;
  return head + family.samples.map((line) => `${line}\n`).join('');
}

/** Labels in the order of their names, as the Python client prints them. */
function sampleLine(name: string, labels: Labels, value: number): string {
  const pairs = Object.entries(labels)
    .toSorted(([one], [other]) => (one < other ? -1 : 1))
    .map(([key, text]) => `${key}="${escapeLabel(text)}"`);
  const suffix = pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
  return `${name}${suffix} ${floatText(value)}`;
}

/** As the Python client prints a float: `1.0`, not `1`. */
export function floatText(value: number): string {
  return Number.isInteger(value) ? `${value}.0` : String(value);
}

function escapeLabel(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
