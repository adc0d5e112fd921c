/** The tiers as two tables: what waits and runs in each, and the engines behind it. */
import type { Screen } from '../screen.ts';
import type { EngineRow, TierRow } from './read-tiers.ts';

const UNKNOWN = '–';
const GAP = '  ';
const TIER_HEAD = [
  'TIER',
  'WAITING',
  'INTERACTIVE',
  'STANDARD',
  'BATCH',
  'EST. WAIT INT. / STD.',
  'RUNNING',
  'BREAKER',
  'ALERT',
  'WORKERS',
];
const ENGINE_HEAD = [
  'TIER',
  'WORKER',
  'ENGINE',
  'STATE',
  'BREAKER',
  'RUNNING',
  'QUEUED',
  'KV CACHE',
  'PREEMPTED',
  'MODEL',
];

type Style = Screen['style'];

interface Cell {
  readonly text: string;
  readonly style?: Parameters<Style>[0];
}

/** Lines without their ends. */
export function tiersTable(tiers: readonly TierRow[], style: Style): string[] {
  const engines = tiers.flatMap(({ name, workers }) =>
    workers.flatMap(({ id, engines: own }) =>
      own.map((engine) => engineCells(engine, { tier: name, worker: id })),
    ),
  );
  return [
    ...align(TIER_HEAD, tiers.map(tierCells), style),
    ...(engines.length === 0 ? [] : ['', ...align(ENGINE_HEAD, engines, style)]),
  ];
}

function tierCells(tier: TierRow): Cell[] {
  return [
    { text: tier.name, style: 'bold' },
    count(tier.depth),
    count(tier.interactive),
    count(tier.standard),
    count(tier.batch),
    { text: tier.waitsMs.map(duration).join(' / ') },
    share(tier),
    breakerCell(tier.breaker, null),
    alertCell(tier.alert),
    tier.workers.length === 0 ? { text: 'none', style: 'red' } : count(tier.workers.length),
  ];
}

function engineCells(
  engine: EngineRow,
  { tier, worker }: { tier: string; worker: string },
): Cell[] {
  const { state, kvUsage } = engine;
  return [
    { text: tier },
    { text: worker },
    { text: engine.url },
    { text: state ?? UNKNOWN, ...(state === null || state === 'ready' ? {} : { style: 'yellow' }) },
    breakerCell(engine.breaker, engine.retryInMs),
    share(engine),
    count(engine.waiting),
    { text: kvUsage === null ? UNKNOWN : `${Math.round(kvUsage * 100)} %` },
    count(engine.preemptions),
    { text: engine.model ?? UNKNOWN },
  ];
}

function breakerCell(breaker: string | null, retryInMs: number | null): Cell {
  if (breaker === null || breaker === 'closed') return { text: breaker ?? UNKNOWN };
  const when = retryInMs === null ? '' : `, ${duration(retryInMs)}`;
  return { text: `${breaker}${when}`, style: breaker === 'open' ? 'red' : 'yellow' };
}

function alertCell(alert: boolean | null): Cell {
  if (alert === null) return { text: UNKNOWN };
  return alert ? { text: 'ALERT', style: 'red' } : { text: 'no' };
}

function share({ running, slots }: { running: number | null; slots: number | null }): Cell {
  return { text: `${running ?? UNKNOWN}/${slots ?? UNKNOWN}` };
}

function count(number: number | null): Cell {
  return { text: number === null ? UNKNOWN : String(number) };
}

function duration(ms: number | null): string {
  if (ms === null) return UNKNOWN;
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  return `${Math.round(ms / 60_000)} min`;
}

/** Widths are those of the plain text: a style has none. */
function align(
  head: readonly string[],
  rows: readonly (readonly Cell[])[],
  style: Style,
): string[] {
  const cells = [head.map((text): Cell => ({ text, style: 'dim' })), ...rows];
  const widths = head.map((_, column) =>
    Math.max(...cells.map((row) => row[column]?.text.length ?? 0)),
  );
  return cells.map((row) =>
    row
      .map(({ text, style: styles }, column) => {
        const isLast = column === row.length - 1;
        const padding = isLast ? '' : ' '.repeat((widths[column] ?? 0) - text.length);
        return (styles === undefined ? text : style(styles, text)) + padding;
      })
      .join(GAP),
  );
}
