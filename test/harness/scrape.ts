/** What a process tells Prometheus, as Prometheus would read it. */
export interface Page {
  /** Names of metrics, from the lines that give their types. */
  readonly families: ReadonlySet<string>;
  readonly samples: readonly {
    readonly name: string;
    readonly labels: ReadonlyMap<string, string>;
    readonly value: number;
  }[];
}

export async function scrape(url: string): Promise<Page> {
  const response = await fetch(url);
  if (response.status !== 200) throw new Error(`${url} answered ${response.status}`);
  const text = await response.text();
  const families = [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name = '']) => name);
  const samples = [...text.matchAll(/^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/gm)].map(
    ([, name = '', labels = '', value]) => ({
      name,
      labels: new Map(
        [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, label = '', its = '']) => [
          label,
          its,
        ]),
      ),
      value: value === '+Inf' ? Number.POSITIVE_INFINITY : Number(value),
    }),
  );
  return { families: new Set(families), samples };
}
