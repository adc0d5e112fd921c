/** The plots of a run: one for each figure that is worth it, over each number in which scenarios differ. */
import { drawChart } from '../../test/overload/report/svg.ts';
import { SCENARIOS } from '../scenarios/list.ts';
import type { Series } from '../scenarios/scenario.ts';
import { FIGURES } from './figures.ts';
import type { FigureName } from './figures.ts';
import type { Summary } from './summary.ts';

export interface Chart {
  readonly name: string;
  readonly title: string;
  readonly svg: string;
}

interface Plan {
  readonly series: Series;
  readonly across: string;
  readonly figure: FigureName;
  readonly isLog?: boolean;
}

const PLANS: readonly Plan[] = [
  { series: 'streams', across: 'streams', figure: 'ttftP50', isLog: true },
  { series: 'streams', across: 'streams', figure: 'ttftP95', isLog: true },
  { series: 'streams', across: 'streams', figure: 'gapP95' },
  { series: 'streams', across: 'streams', figure: 'cpuPerToken', isLog: true },
  { series: 'streams', across: 'streams', figure: 'tokensPerS', isLog: true },
  { series: 'output', across: 'tokens of an answer', figure: 'cpuPerToken', isLog: true },
  { series: 'backlog', across: 'jobs that wait', figure: 'cpuPerJob' },
  { series: 'processes', across: 'API processes and workers', figure: 'cpuPerToken' },
];
/** A line has two points. */
const POINTS_MIN = 2;

export function drawCharts(summary: Summary): Chart[] {
  return PLANS.flatMap(({ series, across, figure, isLog = false }) => {
    const scenarios = SCENARIOS.flatMap((one) =>
      one.series?.of === series && summary.scenarios.includes(one.name)
        ? [{ name: one.name, x: one.series.x }]
        : [],
    );
    const paths = [...new Set(scenarios.flatMap(({ name }) => summary.pathsOf(name)))];
    const lines = paths.flatMap((path) => {
      const points = scenarios.flatMap(({ name, x }) => {
        const found = summary.figure({ scenario: name, path, figure });
        return found === null ? [] : [[x, found.median] as const];
      });
      return points.length < POINTS_MIN
        ? []
        : [{ name: path, points: points.toSorted(([one], [other]) => one - other) }];
    });
    if (lines.length === 0) return [];
    const { title, unit } = FIGURES[figure];
    const heading = `${title} by ${across}`;
    const xs = [...new Set(scenarios.map(({ x }) => x))];
    return [
      {
        name: `${figure}-by-${series}`,
        title: heading,
        svg: drawChart({
          title: heading,
          x: {
            label: across,
            scale: series === 'processes' ? 'linear' : 'log',
            ticks: xs.map((x) => ({ at: x, name: x.toLocaleString('en') })),
          },
          y: { label: unit === '' ? title : unit, scale: isLog ? 'log' : 'linear' },
          series: lines,
        }),
      },
    ];
  });
}
