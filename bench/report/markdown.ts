/** The report as Markdown: for a terminal, and for `docs/performance.md`. */
import { table } from '../../test/overload/report/table.ts';
import { isClean } from '../measure/quiet.ts';
import type { RunResult } from '../result.ts';
import { SCENARIOS } from '../scenarios/list.ts';
import { compare } from './comparison.ts';
import type { Change } from './comparison.ts';
import { FIGURES, FIGURE_NAMES } from './figures.ts';
import type { FigureName } from './figures.ts';
import type { Machine } from './machine.ts';
import { number, spread } from './numbers.ts';
import type { Chart } from './charts.ts';
import type { Summary } from './summary.ts';
import type { Verdict } from './targets.ts';

export interface Report {
  readonly commit: string;
  readonly command: string;
  /** The name of the path that it is compared with. */
  readonly against: string | null;
  readonly machine: Machine;
  readonly result: RunResult;
  readonly summary: Summary;
  readonly verdicts: readonly Verdict[];
  readonly charts: readonly Chart[];
}

/** One line, for whoever reads nothing else. */
export function verdictOf({ result: { failures }, verdicts }: Report): string {
  const measured = verdicts.filter(({ isMet }) => isMet !== null);
  const met = measured.filter(({ isMet }) => isMet === true).length;
  const targets = `${met} of ${measured.length} measured targets met`;
  return failures.length === 0 ? targets : `INVALID: ${failures.length} failures; ${targets}`;
}

/** `imageFolder`: as seen from the page. */
export function formatReport(report: Report, { imageFolder }: { imageFolder: string }): string {
  const { commit, command, against, machine, result, summary, charts } = report;
  return [
    `**${verdictOf(report)}**`,
    '',
    `Commit \`${commit}\`, \`${command}\`, ${Math.round(result.tookMs / 1_000)} s.`,
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGb} GB, Linux ${machine.kernel}; Node ${machine.node},`,
    `redis-server ${machine.redis}. ${noiseOf(result)}`,
    '',
    'Each figure is the median of its rounds, with the smallest and the largest in brackets. A ratio is made of',
    'figures of the same round.',
    '',
    ...targetTable(report.verdicts),
    '',
    ...list(
      'Failures',
      result.failures.map(({ scenario, path, message }) => `- ${scenario}, ${path}: ${message}`),
    ),
    ...list(
      'Left out',
      result.leftOut.map(({ path, reason }) => `- ${path}: ${reason}`),
    ),
    ...(against === null ? [] : changes(compare(summary, against), against)),
    ...charts.flatMap(({ name, title }) => [`![${title}](${imageFolder}/${name}.svg)`, '']),
    ...summary.scenarios.flatMap((scenario) => scenarioSection(scenario, summary)),
  ].join('\n');
}

function noiseOf({ samples }: RunResult): string {
  const thrownAway = samples.reduce((sum, one) => sum + one.thrownAway, 0);
  const shares = samples.flatMap(({ foreignShare }) => foreignShare ?? []);
  const noisy = shares.filter((share) => !isClean(share)).length;
  return `${shares.length} slices; ${thrownAway} were thrown away as others worked meanwhile, ${noisy} of those that count are not clean.`;
}

function targetTable(verdicts: readonly Verdict[]): string[] {
  return table(
    ['figure', 'target', 'measured', ''],
    verdicts.map(({ name, wanted, found, isMet }) => [
      name,
      wanted,
      spread(found),
      isMet === null ? 'not measured' : isMet ? 'met' : 'MISSED',
    ]),
  );
}

function changes(all: readonly Change[], against: string): string[] {
  const shown = all.filter(({ kind }) => kind !== 'same');
  return [
    `### Against ${against}`,
    '',
    ...(shown.length === 0
      ? ['Nothing differs in every round by more than a tenth.']
      : table(
          ['scenario', 'figure', 'ratio', ''],
          shown.map(({ scenario, figure, ratio, kind }) => [scenario, figure, spread(ratio), kind]),
        )),
    '',
  ];
}

/** A table with a row for each path, of all figures that any of them has; then the ratios. */
function scenarioSection(scenario: string, summary: Summary): string[] {
  const paths = summary.pathsOf(scenario);
  const figures = FIGURE_NAMES.filter((figure) =>
    paths.some((path) => summary.figure({ scenario, path, figure }) !== null),
  );
  const title = SCENARIOS.find(({ name }) => name === scenario)?.title ?? '';
  return [
    `### ${scenario}`,
    '',
    `${title[0]?.toUpperCase() ?? ''}${title.slice(1)}.`,
    '',
    ...table(
      ['', ...paths],
      figures.map((figure) => [
        headOf(figure),
        ...paths.map((path) => spread(summary.figure({ scenario, path, figure }))),
      ]),
    ),
    '',
    ...ratios({ scenario, summary, paths, figures }),
  ];
}

/** Resident memory and counts speak for themselves. */
const WITH_RATIOS: readonly FigureName[] = [
  'ttftP50',
  'addedTtftP50',
  'addedTtftP95',
  'tokensPerS',
  'jobsPerS',
  'cpuPerToken',
  'cpuPerJob',
];

function ratios({
  scenario,
  summary,
  paths,
  figures,
}: {
  scenario: string;
  summary: Summary;
  paths: readonly string[];
  figures: readonly FigureName[];
}): string[] {
  const rows = paths.flatMap((path) =>
    ['direct', 'floor']
      .filter((to) => to !== path && paths.includes(to) && path !== 'direct')
      .map((to) => [
        `${path} / ${to}`,
        ...WITH_RATIOS.filter((figure) => figures.includes(figure)).map((figure) => {
          const found = summary.ratio({ scenario, path, to, figure });
          return found === null ? '–' : number(found.median);
        }),
      ]),
  );
  if (rows.length === 0) return [];
  const shown = WITH_RATIOS.filter((figure) => figures.includes(figure));
  return [...table(['ratio', ...shown.map((figure) => FIGURES[figure].title)], rows), ''];
}

export function headOf(figure: FigureName): string {
  const { title, unit } = FIGURES[figure];
  return unit === '' ? title : `${title}, ${unit}`;
}

function list(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : [`### ${title}`, '', ...lines, ''];
}
