/** What is promised of the speed of QARR, as a table, and whether a run has shown it. */
import type { Spread } from '../measure/spread.ts';
import type { FigureName } from './figures.ts';
import type { Summary } from './summary.ts';

export interface Target {
  readonly name: string;
  readonly wanted: string;
  readonly measure: (summary: Summary) => Spread | null;
  /** Of the median. */
  readonly isMet: (median: number) => boolean;
  readonly unit: string;
}

export interface Verdict {
  readonly name: string;
  readonly wanted: string;
  readonly found: Spread | null;
  readonly unit: string;
  /** Null where it was not measured. */
  readonly isMet: boolean | null;
}

/** The floor that writes a log, where it was measured: QARR has one, too. */
const FLOORS_WITH_LOG = ['floor-log', 'floor'];

export const TARGETS: readonly Target[] = [
  atMost(1.3, 'TTFT p50 added over direct, 1 stream', ratio('paced-1', 'addedTtftP50', ['floor'])),
  atMost(
    1.3,
    'TTFT p50 added over direct, 50 streams',
    ratio('paced-50', 'addedTtftP50', ['floor']),
  ),
  atMost(
    1.5,
    'TTFT p95 added over direct, 50 streams',
    ratio('paced-50', 'addedTtftP95', ['floor']),
  ),
  atMost(
    1 / 3,
    'TTFT p95 added over direct, 50 streams',
    ratio('paced-50', 'addedTtftP95', ['portkey']),
  ),
  atMost(1.25, 'CPU per token, 200 streams', ratio('paced-200', 'cpuPerToken', FLOORS_WITH_LOG)),
  atMost(2.2, 'CPU per token, 200 streams', ratio('paced-200', 'cpuPerToken', ['proxy'])),
  atLeast(0.7, 'saturated tokens/s, 50 streams', ratio('saturation', 'tokensPerS', ['floor'])),
  atLeast(0.65, 'one-token jobs/s', ratio('one-token', 'jobsPerS', ['floor'])),
  atLeast(2, 'one-token jobs/s', ratio('one-token', 'jobsPerS', ['portkey'])),
  atMost(0.06, 'PUBLISH per token, 50 streams', value('counts-50', 'publishPerToken')),
  atMost(0.03, 'PUBLISH per token, 200 streams', value('counts-200', 'publishPerToken')),
  atMost(4, "scripts per job, beyond BullMQ's", value('counts-jobs', 'scriptsPerJob')),
  atMost(0, 'SUBSCRIBE per job', value('counts-jobs', 'subscribePerJob')),
  atMost(
    1.25,
    "writes to a client's socket per token, 50 streams",
    value('counts-50', 'clientWritesPerToken'),
  ),
  atMost(5, 'gap p95 added over direct, 200 streams', value('paced-200', 'addedGapP95', 'ms')),
  atMost(
    1.1,
    'CPU per job while 100,000 wait, of that while 10 do',
    growth('backlog', [10, 100_000], 'cpuPerJob'),
  ),
  atMost(
    1.1,
    'CPU per token of 4,000 tokens, of that of 10',
    growth('output', [10, 4_000], 'cpuPerToken'),
  ),
  atMost(
    1.1,
    'CPU per line of 50,000 lines, of that of 5,000',
    growth('batch', [5_000, 50_000], 'cpuPerLine'),
  ),
  atMost(
    300,
    'RSS of an API with 10,000 idle streams',
    value('idle-streams', 'residentIdle', 'MB'),
  ),
  atMost(
    25,
    'CPU of an API with 10,000 idle streams',
    value('idle-streams', 'coreShareIdle', '% of a core'),
  ),
  atMost(
    1.25,
    'CPU per token, 2 API and 4 workers',
    ratio('shape-2-4', 'cpuPerToken', FLOORS_WITH_LOG),
  ),
  atMost(
    20,
    'event-loop delay p99 of the API, 200 streams',
    value('paced-200', 'loopDelayApi', 'ms'),
  ),
  atMost(
    20,
    'event-loop delay p99 of the worker, 200 streams',
    value('paced-200', 'loopDelayWorker', 'ms'),
  ),
  atMost(3, '`npm start` to ready', value('cold-start', 'readyAfter', 's')),
];

export function judge(summary: Summary, targets: readonly Target[] = TARGETS): Verdict[] {
  return targets.map(({ name, wanted, measure, isMet, unit }) => {
    const found = measure(summary);
    return { name, wanted, found, unit, isMet: found === null ? null : isMet(found.median) };
  });
}

interface Measure {
  /** After the number that is wanted. */
  readonly unit: string;
  readonly of: Target['measure'];
}

function atMost(limit: number, name: string, { unit, of }: Measure): Target {
  return {
    name,
    wanted: `<= ${short(limit)} ${unit}`.trim(),
    unit,
    measure: of,
    isMet: (median) => median <= limit,
  };
}

function atLeast(limit: number, name: string, { unit, of }: Measure): Target {
  return {
    name,
    wanted: `>= ${short(limit)} ${unit}`.trim(),
    unit,
    measure: of,
    isMet: (median) => median >= limit,
  };
}

function value(scenario: string, figure: FigureName, unit = ''): Measure {
  return { unit, of: (summary) => summary.figure({ scenario, path: 'qarr', figure }) };
}

/** To the first of these paths that was measured. */
function ratio(scenario: string, figure: FigureName, to: readonly string[]): Measure {
  return {
    unit: `x ${to[0]}`,
    of: (summary) =>
      to
        .map((path) => summary.ratio({ scenario, path: 'qarr', to: path, figure }))
        .find((found) => found !== null) ?? null,
  };
}

/** Of the medians of two scenarios, which are not of the same rounds. */
function growth(
  series: string,
  [from, to]: readonly [number, number],
  figure: FigureName,
): Measure {
  return {
    unit: 'x',
    of(summary) {
      const [few, many] = [from, to].map((x) =>
        summary.figure({ scenario: `${series}-${x}`, path: 'qarr', figure }),
      );
      if (few === null || few === undefined || many === null || many === undefined) return null;
      return {
        n: Math.min(few.n, many.n),
        median: many.median / few.median,
        min: many.min / few.max,
        max: many.max / few.min,
      };
    },
  };
}

function short(limit: number): string {
  return String(Number(limit.toPrecision(3)));
}
