import { JOB_CLASSES } from '../figures/window-figures.ts';
import type { LevelFigures, LevelsResult } from '../experiments/levels.ts';
import { peakOf } from '../targets.ts';
import { TIERS } from '../world/shape.ts';
import { decimal, listOf, percent, seconds, spread } from './figures-text.ts';
import { table } from './table.ts';

/** A process that did next to nothing in every level is not shown. */
const SHOWN_CPU_SHARE = 0.005;

export function levelsSection(result: LevelsResult): string[] {
  const { levels } = result;
  const peak = peakOf(result);
  const rows = (cellsOf: (level: LevelFigures) => (string | number)[]) =>
    levels.map((level) => [nameOf(level), ...cellsOf(level)]);
  return [
    ...table(
      [
        'load',
        'offered/s',
        'goodput/s',
        'of peak',
        'tokens/s',
        'admitted',
        'missed',
        'undecided',
        'refused',
      ],
      rows((level) => [
        decimal(level.offeredPerS),
        decimal(level.goodputPerS),
        percent(level.goodputPerS / peak),
        level.goodTokensPerS.toFixed(0),
        level.admitted,
        level.missed,
        level.undecided,
        percent(level.refusedShare),
      ]),
    ),
    '',
    'Time to first token of admitted requests, from when they were due: p50 / p95 / p99 in ms.',
    '',
    ...table(
      ['load', ...JOB_CLASSES],
      rows(({ ttftMs }) => JOB_CLASSES.map((name) => spread(ttftMs[name]))),
    ),
    '',
    'Refusals. The control is a `GET /healthz` beside the load: it does nothing, so what it takes is the',
    'rig. p50 / p95 / p99 in ms.',
    '',
    ...table(
      ['load', 'code', 'times', 'took', 'Retry-After', 'control'],
      levels.flatMap((level) =>
        level.refusals.map(({ code, count, tookMs, retryAfterMs }) => [
          nameOf(level),
          `\`${code}\``,
          count,
          preciseSpread(tookMs),
          spread(retryAfterMs),
          preciseSpread(level.controlMs),
        ]),
      ),
    ),
    '',
    'Queues, and what went elsewhere. An estimate is right within 30 % or 300 ms of the real wait.',
    '',
    ...table(
      [
        'load',
        ...TIERS.map(({ name }) => `depth of ${name}`),
        'fallback by header',
        'by counter',
        'estimates right',
      ],
      rows(({ depthMax, fallbacks, fallbackCounts, estimates }) => [
        ...TIERS.map(({ name }) => depthMax[name] ?? 0),
        listOf(fallbacks),
        listOf(fallbackCounts),
        `${percent(estimates.rightShare)} of ${estimates.n}`,
      ]),
    ),
    '',
    ...alertLines(result),
    '',
    'Deadlines were missed by:',
    '',
    ...table(
      ['load', 'class and reason'],
      levels
        .filter(({ missed }) => missed > 0)
        .map((level) => [nameOf(level), listOf(level.missedBy)]),
    ),
    '',
    'Shares of one core, by process; `machine` is whoever used its cores.',
    '',
    ...cpuTable(levels),
    '',
    'By tenant at the highest level. They are one owner to the API, which has no keys yet.',
    '',
    ...tenantTable(levels),
    '',
  ];
}

export function nameOf({
  factor,
  isBackDown,
}: Pick<LevelFigures, 'factor' | 'isBackDown'>): string {
  return isBackDown ? `back to ${factor}` : `${factor}`;
}

function alertLines({ levels, alerts, normalAfterMs, normalTtftMs }: LevelsResult): string[] {
  const beganMs = levels[0]?.window.fromMs ?? 0;
  const downMs = levels.at(-1)?.window.fromMs ?? 0;
  const limit = normalTtftMs === null ? '' : ` (p95 up to ${normalTtftMs.toFixed(0)} ms)`;
  const normal = `Normal${limit} after the step down: ${seconds(normalAfterMs)}.`;
  if (alerts === null) return [`The API does not tell of alerts. ${normal}`];
  if (alerts.length === 0) return [`No alert was raised. ${normal}`];
  return [
    `The step down is at ${seconds(downMs - beganMs)}. ${normal} Alerts:`,
    '',
    ...table(
      ['tier', 'raised at', 'cleared at'],
      alerts.map(({ tier, fromMs, toMs }) => [
        tier,
        seconds(fromMs - beganMs),
        toMs === null ? 'not while it was watched' : seconds(toMs - beganMs),
      ]),
    ),
  ];
}

function cpuTable(levels: readonly LevelFigures[]): string[] {
  const names = [...new Set(levels.flatMap(({ cpu }) => Object.keys(cpu)))].filter((name) =>
    levels.some(({ cpu }) => (cpu[name] ?? 0) >= SHOWN_CPU_SHARE),
  );
  return table(
    ['load', ...names],
    levels.map((level) => [nameOf(level), ...names.map((name) => percent(level.cpu[name] ?? 0))]),
  );
}

function tenantTable(levels: readonly LevelFigures[]): string[] {
  const highest = levels.toSorted((a, b) => b.factor - a.factor)[0];
  return table(
    ['tenant', 'came', 'goodput/s', 'refused', 'interactive TTFT'],
    Object.entries(highest?.tenants ?? {}).map(([tenant, figures]) => [
      tenant,
      figures.came,
      decimal(figures.goodputPerS),
      percent(figures.refusedShare),
      spread(figures.ttftMs.interactive),
    ]),
  );
}

function preciseSpread(values: LevelFigures['controlMs']): string {
  if (values === null) return '–';
  return [values.p50, values.p95, values.p99].map(decimal).join(' / ');
}
