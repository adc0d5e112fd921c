import { expect, it } from 'vitest';
import type { Slice } from '../measure/slice.ts';
import type { Sample } from '../result.ts';
import { drawCharts } from './charts.ts';
import { compare } from './comparison.ts';
import { figuresOf } from './figures.ts';
import type { Figures } from './figures.ts';
import { formatReport, verdictOf } from './markdown.ts';
import type { Report } from './markdown.ts';
import { number, spread } from './numbers.ts';
import { formatHtml } from './page.ts';
import { summarise } from './summary.ts';
import { TARGETS, judge } from './targets.ts';
import { withReport } from './write.ts';

/** A figure of each round, by path. */
function samples(scenario: string, paths: Record<string, readonly Figures[]>): Sample[] {
  return Object.entries(paths).flatMap(([path, rounds]) =>
    rounds.map((figures, round) => ({
      scenario,
      path,
      round,
      figures,
      slice: null,
      foreignShare: 0,
      thrownAway: 0,
    })),
  );
}

function percentiles(p50: number) {
  return { n: 9, p50, p95: 2 * p50, p99: 9, max: 9 };
}

/** The first target that was measured. */
function measured(found: readonly Sample[]) {
  return judge(summarise(found)).find(({ isMet }) => isMet !== null);
}

/** What is said of these ratios of a figure to that of another commit. */
function kinds(figure: keyof Figures, ratios: readonly number[]) {
  const all = samples('paced-200', {
    'qarr@old': ratios.map(() => ({ [figure]: 100 })),
    qarr: ratios.map((ratio) => ({ [figure]: 100 * ratio })),
  });
  return compare(summarise(all), 'qarr@old').map((change) => change.kind);
}

const cpu = (cpuPerToken: number) => ({ cpuPerToken });

function reportOf(found: readonly Sample[], more: Partial<Report> = {}): Report {
  const summary = summarise(found);
  return {
    commit: 'abc',
    command: 'npm run bench',
    against: null,
    machine: { cpu: 'A <CPU>', cores: 2, memoryGb: 8, kernel: '6', node: '24', redis: '7' },
    result: { samples: found, failures: [], leftOut: [], tookMs: 1_000 },
    summary,
    verdicts: judge(summary),
    charts: drawCharts(summary),
    ...more,
  };
}

it('makes the figures of a slice, against that of direct', () => {
  const slice: Slice = {
    whole: 10,
    errors: {},
    firstError: null,
    tokens: 40,
    bytes: 1,
    tookMs: 1_500,
    full: { ms: 500, tokens: 20, answers: 5 },
    ttftMs: percentiles(5),
    gapsMs: percentiles(20),
    answerMs: null,
    latenessMs: null,
    client: { cpuMs: 1, eventLoopDelayP99Ms: 1 },
    cpuNs: { api: 80_000, worker: 120_000, redis: 40_000 },
    residentBytes: { api: 3e6, worker: 4e6, redis: 5e6 },
    peakBytes: {},
    writes: { api: 50, worker: 9 },
    redis: { publish: 8, subscribe: 2, ssubscribe: 3, evalsha: 5 },
    loopDelayMs: { api: 7, worker: 8 },
  };
  const direct = {
    ...slice,
    ttftMs: percentiles(1),
    gapsMs: percentiles(19),
    cpuNs: {},
    redis: null,
  };
  expect(figuresOf(slice, direct)).toEqual({
    ttftP50: 5,
    ttftP95: 10,
    addedTtftP50: 4,
    addedTtftP95: 8,
    gapP95: 40,
    addedGapP95: 2,
    tokensPerS: 40,
    jobsPerS: 10,
    cpuPerToken: 6,
    cpuPerTokenApi: 2,
    cpuPerTokenWorker: 3,
    cpuPerTokenRedis: 1,
    cpuPerJob: 24,
    residentApi: 3,
    residentWorker: 4,
    residentRedis: 5,
    loopDelayApi: 7,
    loopDelayWorker: 8,
    publishPerToken: 0.2,
    subscribePerJob: 0.5,
    writesPerToken: 1.25,
  });
  expect(figuresOf(direct, null)).not.toHaveProperty('cpuPerToken');
  expect(figuresOf({ ...slice, tokens: 0 }, null)).not.toHaveProperty('cpuPerToken');
});

it('makes ratios of the same round only', () => {
  const summary = summarise(
    samples('paced-200', { floor: [cpu(10), cpu(40), cpu(20)], qarr: [cpu(20), cpu(40)] }),
  );
  const at = { scenario: 'paced-200', path: 'qarr', figure: 'cpuPerToken' } as const;
  expect(summary.ratio({ ...at, to: 'floor' })).toEqual({ n: 2, median: 1.5, min: 1, max: 2 });
  expect(summary.figure(at)?.median).toBe(30);
  expect(summary.ratio({ ...at, to: 'portkey' })).toBeNull();
  expect(summary.figure({ ...at, scenario: 'other' })).toBeNull();
});

it('divides by nothing that is nothing', () => {
  const summary = summarise(
    samples('paced-1', {
      floor: [{ addedTtftP50: 0 }, { addedTtftP50: -1 }],
      qarr: [{ addedTtftP50: 1 }, { addedTtftP50: 1 }],
    }),
  );
  const at = { scenario: 'paced-1', path: 'qarr', to: 'floor', figure: 'addedTtftP50' } as const;
  expect(summary.ratio(at)).toBeNull();
});

it('has every target of the promise once, and knows which were not measured', () => {
  const verdicts = judge(summarise([]));
  expect(new Set(TARGETS.map(({ name, wanted }) => name + wanted)).size).toBe(TARGETS.length);
  expect(verdicts.every(({ isMet, found }) => isMet === null && found === null)).toBe(true);
});

it('judges by the median, on the right side of the limit', () => {
  const tokens = [70, 69].map((qarr) =>
    samples('saturation', { floor: [{ tokensPerS: 100 }], qarr: [{ tokensPerS: qarr }] }),
  );
  expect(tokens.map((found) => measured(found)?.isMet)).toEqual([true, false]);
  const idle = [300, 301].map((residentIdle) =>
    samples('idle-streams', { qarr: [{ residentIdle }] }),
  );
  expect(idle.map((found) => measured(found)?.isMet)).toEqual([true, false]);
});

it('compares with the floor that has a log, and with the bare one where there is none', () => {
  const bare = { floor: [cpu(10)], qarr: [cpu(30)] };
  expect(measured(samples('paced-200', bare))?.found?.median).toBe(3);
  const withLog = { ...bare, 'floor-log': [cpu(15)] };
  expect(measured(samples('paced-200', withLog))?.found?.median).toBe(2);
});

it('compares growth by the medians of both ends', () => {
  const found = measured([
    ...samples('output-10', { qarr: [cpu(10), cpu(12), cpu(8)] }),
    ...samples('output-4000', { qarr: [cpu(5), cpu(6), cpu(4)] }),
  ]);
  expect(found).toMatchObject({ isMet: true, found: { median: 0.5, min: 4 / 12, max: 6 / 8 } });
});

it('calls worse what is worse in every round by more than a tenth', () => {
  expect(kinds('cpuPerToken', [1.2, 1.3, 1.1])).toEqual(['worse']);
  expect(kinds('cpuPerToken', [1.2, 1.3, 0.99])).toEqual(['same']);
  expect(kinds('cpuPerToken', [1.05, 1.05, 1.05])).toEqual(['same']);
  expect(kinds('cpuPerToken', [0.8, 0.7])).toEqual(['better']);
  expect(kinds('jobsPerS', [0.8, 0.7])).toEqual(['worse']);
  expect(kinds('jobsPerS', [1.8])).toEqual(['better']);
  expect(kinds('addedTtftP50', [2])).toEqual([]);
});

it('writes a page with targets, plots and what went wrong, and lets no text be markup', () => {
  const found = [
    ...samples('paced-1', { qarr: [cpu(50)], floor: [cpu(40)] }),
    ...samples('paced-50', { qarr: [cpu(40), cpu(60)], floor: [cpu(30), cpu(31)] }),
  ];
  const failure = { scenario: 'one-token', path: 'portkey', message: 'a <b> torn answer' };
  const report = reportOf(found, {
    result: { samples: found, failures: [failure], leftOut: [], tookMs: 1_000 },
  });
  const html = formatHtml(report);
  expect(html).toContain('50.0 [40.0..60.0]');
  expect(html.match(/<svg/g)).toHaveLength(1);
  expect(html).toContain('a &lt;b> torn answer');
  expect(html).toContain('A &lt;CPU>');
  const text = formatReport(report, { imageFolder: 'performance' });
  expect(text).toContain('](performance/cpuPerToken-by-streams.svg)');
  expect(text).toContain('- one-token, portkey: a <b> torn answer');
  expect(verdictOf(report)).toMatch(/^INVALID: 1 failures; /);
});

it('says how many slices were thrown away, and how many that count are not clean', () => {
  const [one, other] = samples('paced-1', { qarr: [cpu(1), cpu(2)] }) as [Sample, Sample];
  const found = [
    { ...one, thrownAway: 2, foreignShare: 0.2 },
    { ...other, foreignShare: 0.12 },
  ];
  expect(formatReport(reportOf(found), { imageFolder: '.' })).toContain(
    '2 slices; 2 were thrown away as others worked meanwhile, 1 of those that count are not clean.',
  );
});

it('puts a report in the place of the one before, and nothing else', () => {
  const page = 'above\n<!-- report -->\nold\n<!-- end of the report -->\nbelow\n';
  const once = withReport(page, 'new');
  expect(once).toBe('above\n<!-- report -->\n\nnew\n\n<!-- end of the report -->\nbelow\n');
  expect(withReport(once, 'new')).toBe(once);
  expect(() => withReport('nothing', 'new')).toThrow('has no');
});

it('shows numbers with three digits that count', () => {
  expect([1234.5, 123.4, 12.34, 1.234, 0.1234, -0.5].map(number)).toEqual([
    '1235',
    '123',
    '12.3',
    '1.23',
    '0.123',
    '-0.500',
  ]);
  expect(spread(null)).toBe('–');
  expect(spread({ n: 1, median: 2, min: 2, max: 2 })).toBe('2.00');
});
