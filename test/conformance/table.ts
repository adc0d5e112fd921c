/** The results as one table of plain text: a row per behaviour, a column per engine. Pure. */
import type { Section } from './row.ts';
import type { Verdict } from './run-rows.ts';

export interface Column {
  readonly name: string;
  /** By row, as the rows of the table. */
  readonly verdicts: readonly Verdict[];
}

export interface TableRow {
  readonly section: Section;
  readonly name: string;
}

const CELLS: Readonly<Record<Verdict['kind'], string>> = {
  ok: 'ok',
  failed: 'FAILED',
  'not applicable': 'n.a.',
};
const INDENT = '  ';
const LEGEND =
  'ok: as it must be; FAILED: see below; n.a.: an engine of this kind cannot be asked that';

export function formatTable(rows: readonly TableRow[], columns: readonly Column[]): string {
  const nameWidth = Math.max(...rows.map(({ name }) => INDENT.length + name.length)) + 2;
  const widths = columns.map(({ name }) => Math.max(name.length, 'FAILED'.length) + 2);
  const line = (name: string, cells: readonly string[]) =>
    `${name.padEnd(nameWidth)}${cells.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join('')}`.trimEnd();
  const lines = [
    line(
      '',
      columns.map(({ name }) => name),
    ),
  ];
  let section = '';
  for (const [index, row] of rows.entries()) {
    if (row.section !== section) lines.push('', row.section);
    section = row.section;
    const cells = columns.map(({ verdicts }) => cellOf(verdicts[index]));
    lines.push(line(INDENT + row.name, cells));
  }
  return [...lines, '', LEGEND].join('\n');
}

/** What is wrong, one line per problem. */
export function formatProblems(rows: readonly TableRow[], columns: readonly Column[]): string[] {
  return columns.flatMap(({ name, verdicts }) =>
    verdicts.flatMap((verdict, index) =>
      verdict.kind === 'failed'
        ? verdict.problems.map((problem) => `${name}: ${rows[index]?.name}: ${problem}`)
        : [],
    ),
  );
}

function cellOf(verdict: Verdict | undefined): string {
  return verdict === undefined ? '' : CELLS[verdict.kind];
}
