/** What a run has found, in Jepsen's words, for a terminal and as a page. */
import type { RunOutcome } from './run.ts';

/** Of each invariant: more of the same say nothing new. */
const SHOWN_MAX = 10;

export interface ReportHead {
  readonly seed: string;
  readonly commit: string;
  readonly command: string;
  readonly minutes: number;
  readonly world: string;
}

/** One line, for whoever reads nothing else. */
export function verdictOf({ tally, violations, mistakes }: RunOutcome): string {
  const { lost, unexpected, duplicated } = tally;
  const counts = `lost ${lost}, unexpected ${unexpected}, duplicated ${duplicated}`;
  if (mistakes.length > 0) return `INVALID: the runner made ${mistakes.length} mistakes; ${counts}`;
  if (violations.length > 0) return `FAILED: ${violations.length} violations; ${counts}`;
  return `ok: ${counts}`;
}

export function formatReport(outcome: RunOutcome, head: ReportHead): string {
  const { tally, violations, mistakes } = outcome;
  const rows: [string, string | number][] = [
    ['attempts', `${tally.attempts} (of ${tally.ops} requests)`],
    ['acknowledged', tally.acknowledged],
    ['ok', tally.ok],
    ['lost', tally.lost],
    ['unexpected', tally.unexpected],
    ['duplicated', tally.duplicated],
    ['recovered', tally.recovered],
    ['how jobs ended', listOf(tally.states)],
    ['failed by', listOf(tally.failures)],
    ['ran more than once', `${tally.retried}, of which ${tally.continued} carried on`],
    ['readers', `${tally.readers}, who came back ${tally.reconnections} times`],
    ['events read', tally.eventsRead],
    ['compared with an undisturbed engine', tally.compared],
    ['faults', `${sumOf(tally.faults)}: ${listOf(tally.faults)}`],
    ['processes that ended by themselves', tally.endedByThemselves],
  ];
  return [
    `**${verdictOf(outcome)}**`,
    '',
    `${head.minutes} min of load and faults on ${head.world}; seed \`${head.seed}\`, commit \`${head.commit}\`.`,
    '',
    ...table(rows),
    '',
    ...section('Violations', byInvariant(violations)),
    ...section('Mistakes of the runner', mistakes.slice(0, SHOWN_MAX)),
    'Again:',
    '',
    '```sh',
    head.command,
    '```',
    '',
    'The seed draws the load and the faults. When each of them comes to pass is up to the machine, so',
    'another run with it is alike, not the same.',
    '',
  ].join('\n');
}

function byInvariant(violations: RunOutcome['violations']): string[] {
  const groups = Map.groupBy(violations, ({ invariant }) => invariant);
  return [...groups]
    .toSorted(([a], [b]) => a.localeCompare(b))
    .flatMap(([invariant, group]) => [
      ...group
        .slice(0, SHOWN_MAX)
        .map(({ jobId, message }) =>
          `${invariant} ${jobId ?? ''} ${message}`.replace(/ {2,}/, ' '),
        ),
      ...(group.length > SHOWN_MAX ? [`${invariant}: ${group.length - SHOWN_MAX} more`] : []),
    ]);
}

function section(title: string, lines: readonly string[]): string[] {
  if (lines.length === 0) return [];
  return [`### ${title}`, '', ...lines.map((line) => `- ${line}`), ''];
}

/** As oxfmt has it. */
function table(rows: readonly (readonly [string, string | number])[]): string[] {
  const cells = [['', ''], ...rows.map(([name, value]) => [name, String(value)])];
  const [first, second] = [0, 1].map((column) =>
    Math.max(3, ...cells.map((row) => row[column]?.length ?? 0)),
  ) as [number, number];
  const line = ([name = '', value = '']: readonly string[]) =>
    `| ${name.padEnd(first)} | ${value.padEnd(second)} |`;
  const [head = [], ...body] = cells;
  return [line(head), `| ${'-'.repeat(first)} | ${'-'.repeat(second)} |`, ...body.map(line)];
}

function listOf(counts: Readonly<Record<string, number>>): string {
  const list = Object.entries(counts).map(([name, count]) => `${name} ${count}`);
  return list.length === 0 ? 'none' : list.join(', ');
}

function sumOf(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}
