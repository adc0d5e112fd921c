/** What a run has found, for a terminal and as a page. */
import { BATCH_LINES, INTERACTIVE_FACTOR } from '../experiments/batch.ts';
import type { BatchResult } from '../experiments/batch.ts';
import { KILLED_TIER } from '../experiments/kill.ts';
import type { KillResult } from '../experiments/kill.ts';
import type { RunResult } from '../run.ts';
import type { WindowFigures } from '../figures/window-figures.ts';
import { API_COUNT, SPARE_SEQUENCES, TIERS, WORKERS_PER_TIER } from '../world/shape.ts';
import type { Curve } from './curves.ts';
import { decimal, listOf, percent, seconds, spread } from './figures-text.ts';
import { levelsSection } from './levels-section.ts';
import { table } from './table.ts';

export interface ReportHead {
  readonly seed: string;
  readonly commit: string;
  readonly command: string;
}

/** One line, for whoever reads nothing else. */
export function verdictOf({ checks, mistakes }: RunResult): string {
  const missed = checks.filter(({ isMet, isWish }) => !isMet && !isWish).length;
  const musts = checks.filter(({ isWish }) => !isWish).length;
  if (mistakes.length > 0)
    return `INVALID: ${mistakes.length} mistakes; ${missed} of ${musts} targets missed`;
  return missed === 0 ? `PASS: ${musts} targets met` : `FAIL: ${missed} of ${musts} targets missed`;
}

export function formatPage(
  result: RunResult,
  { head, curves }: { head: ReportHead; curves: readonly Curve[] },
): string {
  const { capacity, levels, batch, kill, mistakes } = result;
  const imagesOf = (part: Curve['part']) =>
    curves
      .filter((curve) => curve.part === part)
      .flatMap(({ name, title }) => [`![${title}](overload/${name}.svg)`, '']);
  return [
    `**${verdictOf(result)}**`,
    '',
    `Seed \`${head.seed}\`, commit \`${head.commit}\`. ${API_COUNT} API replicas; for each tier one`,
    `simulated engine and ${WORKERS_PER_TIER} workers. All figures are of this run and this machine.`,
    '',
    ...checkTable(result),
    '',
    ...section(
      'Mistakes of the run',
      mistakes.map((mistake) => `- ${mistake}`),
    ),
    '## Capacity',
    '',
    'Measured first, in a closed loop that keeps every slot busy. The load is a multiple of it, and each',
    'tier gets its share.',
    '',
    ...table(
      ['tier', 'engine', 'slots', 'tokens of an answer', 'jobs/s', 'tokens/s'],
      TIERS.map(({ name, profile, timeScale, slots, tokens }) => [
        name,
        `${profile}, times x ${timeScale}, ${slots + SPARE_SEQUENCES} sequences`,
        slots,
        tokens.join(' to '),
        decimal(capacity.perS[name] ?? 0),
        (capacity.tokensPerS[name] ?? 0).toFixed(0),
      ]),
    ),
    '',
    ...(levels === null ? [] : ['## Levels', '', ...imagesOf('levels'), ...levelsSection(levels)]),
    ...(batch === null ? [] : ['## A batch beside it', '', ...batchSection(batch)]),
    ...(kill === null
      ? []
      : ['## An engine that is killed', '', ...imagesOf('kill'), ...killSection(kill)]),
    '## Again',
    '',
    '```sh',
    head.command,
    '```',
    '',
    'The seed draws what comes and when. What the machine does meanwhile is its own affair.',
    '',
  ].join('\n');
}

function checkTable({ checks }: Pick<RunResult, 'checks'>): string[] {
  return table(
    ['target', 'wanted', 'found', ''],
    checks.map(({ name, wanted, found, isMet, isWish }) => [
      name,
      wanted,
      found,
      `${isMet ? 'PASS' : 'FAIL'}${isWish ? ' (wish)' : ''}`,
    ]),
  );
}

function batchSection(batch: BatchResult): string[] {
  return [
    `Interactive chats at ${INTERACTIVE_FACTOR} x capacity, without and with a batch of ${BATCH_LINES} lines that is`,
    'fed through a window, in turns.',
    '',
    ...table(
      ['', 'samples', 'TTFT p50 / p95 / p99, ms'],
      [
        ['without', batch.without?.n ?? 0, spread(batch.without)],
        ['with', batch.with?.n ?? 0, spread(batch.with)],
      ],
    ),
    '',
    `While it was fed, ${batch.linesDone} lines were done, ${decimal(batch.linesPerS)} per second, which is`,
    `${percent(batch.capacityShare)} of the capacity; ${batch.linesFailed} failed, and lines were refused`,
    `${batch.linesRefused} times.`,
    '',
  ];
}

function killSection(kill: KillResult): string[] {
  const times: readonly (readonly [string, WindowFigures])[] = [
    ['before', kill.quiet],
    ['gone', kill.gone],
    ['after', kill.after],
  ];
  const sinceKill = (ms: number) => seconds(ms - kill.killedMs);
  return [
    `The engine of \`${KILLED_TIER}\` was killed for ${seconds(kill.backMs - kill.killedMs)}.`,
    '',
    ...table(
      ['', 'goodput/s', 'refused', 'by', 'interactive TTFT', 'standard TTFT'],
      times.map(([name, figures]) => [
        name,
        decimal(figures.goodputPerS),
        percent(figures.refusedShare),
        listOf(Object.fromEntries(figures.refusals.map(({ code, count }) => [code, count]))),
        spread(figures.ttftMs.interactive),
        spread(figures.ttftMs.standard),
      ]),
    ),
    '',
    ...table(
      ['', ''],
      [
        ['how accepted jobs ended', listOf(kill.ends)],
        ['moved, by counter', listOf(kill.moved)],
        ['moved, as clients saw it', kill.movedSeen],
        ['expired, although they might have moved', kill.expiredMovable],
        [
          `requests that reached the engine from ${sinceKill(kill.sick.fromMs)} to ${sinceKill(kill.sick.toMs)}`,
          kill.probes.probes,
        ],
        ['at once, at most', kill.probes.atOnceMax],
        [
          'normal again, after it was back',
          `${seconds(kill.normalAfterMs)} (p95 up to ${kill.normalTtftMs.toFixed(0)} ms)`,
        ],
      ],
    ),
    '',
    ...(kill.breakers === null
      ? ['The API does not tell how breakers are.']
      : table(
          ['tier', 'not closed from', 'to, after the kill'],
          kill.breakers.map(({ tier, fromMs, toMs }) => [
            tier,
            sinceKill(fromMs),
            toMs === null ? 'not while it was watched' : sinceKill(toMs),
          ]),
        )),
    '',
  ];
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : [`## ${title}`, '', ...lines, ''];
}
