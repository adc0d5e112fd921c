/** The curves of a run. */
import type { LevelFigures, LevelsResult } from '../experiments/levels.ts';
import type { KillResult } from '../experiments/kill.ts';
import { KILLED_TIER } from '../experiments/kill.ts';
import type { Period } from '../figures/alerts.ts';
import type { RunResult } from '../run.ts';
import { peakOf } from '../targets.ts';
import type { TierSample } from '../world/tiers-watch.ts';
import { TIERS } from '../world/shape.ts';
import { nameOf } from './levels-section.ts';
import { drawChart } from './svg.ts';
import type { Chart, Series } from './svg.ts';

export interface Curve {
  /** Of its file. */
  readonly name: string;
  readonly title: string;
  readonly part: 'levels' | 'kill';
  readonly svg: string;
}

export function drawCurves({ levels, kill }: RunResult): Curve[] {
  const curve = (part: Curve['part'], name: string, chart: Chart): Curve => ({
    name,
    part,
    title: chart.title,
    svg: drawChart(chart),
  });
  return [
    ...(levels === null
      ? []
      : [
          curve('levels', 'goodput', goodputChart(levels)),
          curve('levels', 'ttft', ttftChart(levels)),
          curve('levels', 'refusals', refusalChart(levels)),
          curve('levels', 'depth', depthChart(levels)),
        ]),
    ...(kill === null
      ? []
      : [curve('kill', 'kill', killChart(kill)), curve('kill', 'probes', probeChart(kill))]),
  ];
}

function goodputChart(result: LevelsResult): Chart {
  const peak = peakOf(result);
  const { levels } = result;
  return {
    title: 'Goodput and refusals by load',
    x: loadAxis(levels),
    y: { label: 'share, %' },
    series: [
      byLevel('goodput, of its peak', levels, ({ goodputPerS }) => (goodputPerS / peak) * 100),
      byLevel('requests that were refused', levels, ({ refusedShare }) => refusedShare * 100),
      byLevel('admitted that missed their deadline', levels, ({ missed, admitted }) =>
        admitted === 0 ? 0 : (missed / admitted) * 100,
      ),
    ],
  };
}

function ttftChart({ levels }: LevelsResult): Chart {
  const line = (jobClass: 'interactive' | 'standard', at: 'p50' | 'p95' | 'p99') =>
    byLevel(`${jobClass} ${at}`, levels, ({ ttftMs }) => ttftMs[jobClass]?.[at] ?? null);
  return {
    title: 'Time to first token of admitted requests by load',
    x: loadAxis(levels),
    y: { label: 'ms', scale: 'log' },
    series: [
      line('interactive', 'p50'),
      line('interactive', 'p95'),
      line('interactive', 'p99'),
      { ...line('standard', 'p50'), isDashed: true },
      { ...line('standard', 'p95'), isDashed: true },
    ],
  };
}

function refusalChart({ levels }: LevelsResult): Chart {
  const line = (at: 'p50' | 'p95' | 'p99') =>
    byLevel(`refusal ${at}`, levels, ({ refusalMs }) => refusalMs?.[at] ?? null);
  return {
    title: 'Time of a refusal by load, beside a request that does nothing',
    x: loadAxis(levels),
    y: { label: 'ms', scale: 'log' },
    series: [
      line('p50'),
      line('p95'),
      line('p99'),
      {
        ...byLevel('control p99', levels, ({ controlMs }) => controlMs?.p99 ?? null),
        isDashed: true,
      },
    ],
  };
}

function depthChart({ levels, samples, alerts }: LevelsResult): Chart {
  const beganMs = levels[0]?.window.fromMs ?? 0;
  const load = levels.flatMap(({ window, factor }) => [
    [(window.fromMs - beganMs) / 1_000, factor * 10] as const,
    [(window.toMs - beganMs) / 1_000, factor * 10] as const,
  ]);
  return {
    title: 'Jobs that wait, over time',
    x: { label: 's' },
    y: { label: 'jobs' },
    series: [
      ...depthLines(samples, beganMs),
      { name: 'load, tenths of capacity', points: load, isStep: true, isDashed: true },
    ],
    bands: bandsOf(alerts, { beganMs, samples, name: 'alert' }),
  };
}

function killChart({ samples, killedMs, backMs, breakers }: KillResult): Chart {
  const beganMs = samples[0]?.atMs ?? 0;
  const [killed, back] = [(killedMs - beganMs) / 1_000, (backMs - beganMs) / 1_000];
  const most = Math.max(1, ...samples.map(({ depth }) => depth));
  return {
    title: `The engine of ${KILLED_TIER} is killed: jobs that wait`,
    x: { label: 's' },
    y: { label: 'jobs' },
    series: [
      ...depthLines(samples, beganMs),
      {
        name: 'the engine is gone',
        points: [
          [killed, 0],
          [killed, most],
          [back, 0],
        ],
        isStep: true,
        isDashed: true,
      },
    ],
    bands: bandsOf(breakers, { beganMs, samples, name: 'breaker not closed' }),
  };
}

/** Around the time in which it is not well, where every single request matters. */
const AROUND_MS = 5_000;

function probeChart({ openAtEngine, killedMs, sick }: KillResult): Chart {
  const secondsOf = (ms: number) => (ms - killedMs) / 1_000;
  const [fromMs, toMs] = [killedMs - AROUND_MS, sick.toMs + AROUND_MS];
  return {
    title: `Requests that are open at the engine of ${KILLED_TIER}`,
    x: { label: 's after the kill' },
    y: { label: 'requests' },
    series: [
      {
        name: 'requests at once',
        isStep: true,
        points: openAtEngine
          .filter(([atMs]) => atMs >= fromMs && atMs <= toMs)
          .map(([atMs, open]) => [secondsOf(atMs), open] as const),
      },
    ],
    bands: [{ name: 'one at most', from: secondsOf(sick.fromMs), to: secondsOf(sick.toMs) }],
  };
}

function depthLines(samples: readonly TierSample[], beganMs: number): Series[] {
  return TIERS.map(({ name }) => ({
    name: `${name}, waiting`,
    points: samples
      .filter(({ tier, atMs }) => tier === name && atMs >= beganMs)
      .map(({ atMs, depth }) => [(atMs - beganMs) / 1_000, depth] as const),
  }));
}

function bandsOf(
  periods: readonly Period[] | null,
  { beganMs, samples, name }: { beganMs: number; samples: readonly TierSample[]; name: string },
): NonNullable<Chart['bands']> {
  const lastMs = samples.at(-1)?.atMs ?? beganMs;
  return (periods ?? []).map(({ fromMs, toMs }) => ({
    name,
    from: (fromMs - beganMs) / 1_000,
    to: ((toMs ?? lastMs) - beganMs) / 1_000,
  }));
}

/** Levels stand at equal distances: 0.5 and 10 would not fit one linear axis. */
function loadAxis(levels: readonly LevelFigures[]): Chart['x'] {
  return {
    label: 'load, multiples of capacity',
    ticks: levels.map((level, index) => ({ at: index, name: nameOf(level) })),
  };
}

function byLevel(
  name: string,
  levels: readonly LevelFigures[],
  valueOf: (level: LevelFigures) => number | null,
): Series {
  return {
    name,
    points: levels.flatMap((level, index) => {
      const value = valueOf(level);
      return value === null ? [] : [[index, value] as const];
    }),
  };
}
