/** The report as one page that needs nothing else: plots, targets and tables. */
import type { RunResult } from '../result.ts';
import { SCENARIOS } from '../scenarios/list.ts';
import { FIGURES, FIGURE_NAMES } from './figures.ts';
import { headOf, verdictOf } from './markdown.ts';
import type { Report } from './markdown.ts';
import { spread } from './numbers.ts';
import type { Summary } from './summary.ts';

const STYLE = `
  body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; color-scheme: light dark }
  table { border-collapse: collapse; margin: 1rem 0; font-size: 13px; display: block; overflow-x: auto }
  th, td { border: 1px solid #8886; padding: .25rem .6rem; text-align: left; white-space: nowrap }
  td:not(:first-child) { font-variant-numeric: tabular-nums }
  .met { color: #008a5e } .missed { color: #d55e00; font-weight: 600 }
  .plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(30rem, 1fr)); gap: 1rem }`;

export function formatHtml(report: Report): string {
  const { commit, command, machine, result, summary, verdicts, charts } = report;
  return [
    '<!doctype html>',
    '<html lang="en"><head><meta charset="utf-8"><title>QARR: how fast</title>',
    `<style>${STYLE}</style></head><body>`,
    `<h1>QARR: how fast</h1><p><b>${escape(verdictOf(report))}</b></p>`,
    `<p>Commit ${escape(commit)}, <code>${escape(command)}</code>. ${escape(machine.cpu)}, ${machine.cores} cores,`,
    `Node ${machine.node}, redis-server ${machine.redis}. Medians of rounds, [smallest..largest].</p>`,
    problems(result),
    '<h2>Targets</h2>',
    tableOf(
      ['figure', 'target', 'measured', ''],
      verdicts.map(({ name, wanted, found, isMet }) => [
        escape(name),
        escape(wanted),
        spread(found),
        isMet === null
          ? 'not measured'
          : isMet
            ? '<span class="met">met</span>'
            : '<span class="missed">missed</span>',
      ]),
    ),
    '<h2>Plots</h2><div class="plots">',
    ...charts.map(({ svg }) => svg),
    '</div>',
    ...summary.scenarios.map((scenario) => section(scenario, summary)),
    '<h2>Definitions</h2>',
    tableOf(
      ['figure', 'formula'],
      FIGURE_NAMES.map((name) => [escape(headOf(name)), escape(FIGURES[name].formula)]),
    ),
    '</body></html>',
    '',
  ].join('\n');
}

function section(scenario: string, summary: Summary): string {
  const paths = summary.pathsOf(scenario);
  const figures = FIGURE_NAMES.filter((figure) =>
    paths.some((path) => summary.figure({ scenario, path, figure }) !== null),
  );
  const title = SCENARIOS.find(({ name }) => name === scenario)?.title ?? '';
  return [
    `<h2>${escape(scenario)}</h2><p>${escape(title)}</p>`,
    tableOf(
      ['', ...paths.map(escape)],
      figures.map((figure) => [
        escape(headOf(figure)),
        ...paths.map((path) => spread(summary.figure({ scenario, path, figure }))),
      ]),
    ),
  ].join('\n');
}

function problems({ failures, leftOut }: RunResult): string {
  const lines = [
    ...failures.map(({ scenario, path, message }) => `${scenario}, ${path}: ${message}`),
    ...leftOut.map(({ path, reason }) => `${path} is left out: ${reason}`),
  ];
  if (lines.length === 0) return '';
  return `<ul>${lines.map((line) => `<li>${escape(line)}</li>`).join('')}</ul>`;
}

/** Cells are HTML. */
function tableOf(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return `<table>${row(head, 'th')}${rows.map((cells) => row(cells, 'td')).join('\n')}</table>`;
}

function row(cells: readonly string[], name: 'th' | 'td'): string {
  return `<tr>${cells.map((cell) => `<${name}>${cell}</${name}>`).join('')}</tr>`;
}

function escape(words: string): string {
  return words.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}
