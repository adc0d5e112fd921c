/** What a run has found, for a terminal, as a page, and for a program. */
import type { FirstTokens } from './figures.ts';
import type { RunResult } from './run.ts';

/** Of each rule: more of the same say nothing new. */
const SHOWN_MAX = 10;
const MB = 1_000_000;

export interface ReportHead {
  readonly seed: string;
  readonly commit: string;
  readonly command: string;
}

/** One line, for whoever reads nothing else. */
export function verdictOf({ violations, evidence }: RunResult): string {
  const { total, completed, failed } = evidence.batch.request_counts;
  const counts = `${total} lines, completed ${completed}, failed ${failed}, kills ${evidence.kills.length}`;
  return violations.length === 0
    ? `ok: ${counts}`
    : `FAILED: ${violations.length} violations; ${counts}`;
}

export function formatReport(result: RunResult, head: ReportHead): string {
  const { evidence, figures, violations, crashes } = result;
  const kills = Map.groupBy(evidence.kills, ({ kind }) => kind);
  const rows: [string, string][] = [
    ['from upload to files', `${(figures.tookMs / 1_000).toFixed(1)} s`],
    ['lines per second', figures.linesPerS.toFixed(1)],
    ['in each quarter', figures.quartersPerS.map((rate) => rate.toFixed(1)).join(', ')],
    ['by tier', listOf(figures.byTier)],
    ['kills', listOf(Object.fromEntries([...kills].map(([kind, own]) => [kind, own.length])))],
    ['lines that ran again, as a kill explains', String(figures.ranAgain)],
    ['answers compared with an undisturbed engine', String(figures.compared)],
    ['streams', String(evidence.streams.length)],
    ['their first token before the batch', first(figures.firstTokens.before)],
    ['their first token beside the batch', first(figures.firstTokens.during)],
    ...Object.entries(figures.memory).map(([name, { firstBytes, mostBytes }]): [string, string] => [
      `memory of ${name}`,
      `${mb(firstBytes)}, at most ${mb(mostBytes)} MB`,
    ]),
    ['processes that ended by themselves', crashes.length === 0 ? 'none' : crashes.join(', ')],
  ];
  return [
    `**${verdictOf(result)}**`,
    '',
    `Seed \`${head.seed}\`, commit \`${head.commit}\`.`,
    '',
    ...table(rows),
    '',
    ...shown(violations),
    'Again:',
    '',
    '```sh',
    head.command,
    '```',
    '',
  ].join('\n');
}

/** Without content: ids, counts, times. */
export function jsonReport(result: RunResult, head: ReportHead): string {
  const { violations, figures, crashes, evidence } = result;
  const { batch, kills, polls, atEnd } = evidence;
  const report = { ...head, verdict: verdictOf(result), figures, violations, crashes };
  return `${JSON.stringify({ ...report, batch, files: atEnd, kills, polls }, null, 2)}\n`;
}

function shown(violations: RunResult['violations']): string[] {
  const groups = Map.groupBy(violations, ({ rule }) => rule);
  const lines = [...groups].flatMap(([rule, group]) => [
    ...group.slice(0, SHOWN_MAX).map(({ message }) => `- ${rule}: ${message}`),
    ...(group.length > SHOWN_MAX ? [`- ${rule}: ${group.length - SHOWN_MAX} more`] : []),
  ]);
  return lines.length === 0 ? [] : ['### Violations', '', ...lines, ''];
}

function first({ n, medianMs, p95Ms }: FirstTokens): string {
  if (medianMs === null || p95Ms === null) return 'none';
  return `median ${medianMs.toFixed(0)} ms, 95 % within ${p95Ms.toFixed(0)} ms (${n})`;
}

/** As oxfmt has it. */
function table(rows: readonly (readonly [string, string])[]): string[] {
  const width = (column: 0 | 1) => Math.max(3, ...rows.map((row) => row[column].length));
  const [names, values] = [width(0), width(1)];
  const line = ([name, value]: readonly [string, string]) =>
    `| ${name.padEnd(names)} | ${value.padEnd(values)} |`;
  return [line(['', '']), `| ${'-'.repeat(names)} | ${'-'.repeat(values)} |`, ...rows.map(line)];
}

function listOf(counts: Readonly<Record<string, number>>): string {
  const list = Object.entries(counts).map(([name, count]) => `${name} ${count}`);
  return list.length === 0 ? 'none' : list.join(', ');
}

function mb(bytes: number): string {
  return (bytes / MB).toFixed(0);
}
