/** Every figure that the bench knows, with what it means; and those that a slice gives. */
import type { Slice } from '../measure/slice.ts';

export interface Figure {
  readonly title: string;
  readonly unit: string;
  readonly formula: string;
  readonly isBetter: 'less' | 'more';
}

/** In the order of the columns of the report. */
export const FIGURES = {
  ttftP50: less(
    'TTFT p50',
    'ms',
    'median of (first text - request written, or due in an open loop)',
  ),
  ttftP95: less('TTFT p95', 'ms', 'the 95th percentile of the same'),
  addedTtftP50: less('added TTFT p50', 'ms', 'TTFT p50 - that of `direct` in the same round'),
  addedTtftP95: less('added TTFT p95', 'ms', 'TTFT p95 - that of `direct` in the same round'),
  gapP95: less(
    'gap p95',
    'ms',
    'the 95th percentile of (token - token before it of the same answer)',
  ),
  addedGapP95: less('added gap p95', 'ms', 'gap p95 - that of `direct` in the same round'),
  tokensPerS: more('tokens/s', '', 'tokens that came while the load was full / that time'),
  jobsPerS: more('jobs/s', '', 'answers that ended while the load was full / that time'),
  cpuPerToken: less('CPU per token', 'us', 'CPU of API, worker, gateway and Redis / tokens'),
  cpuPerTokenApi: less('API', 'us/token', 'CPU of the API processes / tokens'),
  cpuPerTokenWorker: less('worker', 'us/token', 'CPU of the workers / tokens'),
  cpuPerTokenRedis: less('Redis', 'us/token', 'CPU of redis-server / tokens'),
  cpuPerJob: less('CPU per job', 'us', 'CPU of API, worker, gateway and Redis / answers'),
  residentApi: less('RSS API', 'MB', 'VmRSS of the API processes after the slice'),
  residentWorker: less('RSS worker', 'MB', 'VmRSS of the workers after the slice'),
  residentGateway: less('RSS gateway', 'MB', 'VmRSS of the gateway after the slice'),
  residentRedis: less('RSS Redis', 'MB', 'VmRSS of redis-server after the slice'),
  loopDelayApi: less(
    'loop delay p99 API',
    'ms',
    '`nodejs_eventloop_lag_p99_seconds` - 10 ms, the worst API',
  ),
  loopDelayWorker: less('loop delay p99 worker', 'ms', 'the same, the worst worker'),
  publishPerToken: less('PUBLISH/token', '', 'calls of PUBLISH, in scripts too / tokens'),
  subscribePerJob: less('SUBSCRIBE/job', '', 'calls of SUBSCRIBE / answers'),
  clientWritesPerToken: less(
    'writes to clients/token',
    '',
    'writes of the API to sockets of its clients / tokens',
  ),
  writesPerToken: less(
    'writes/token API',
    '',
    'write system calls of the API processes, whatever to / tokens',
  ),
  scriptsPerJob: less(
    'own scripts/job',
    '',
    "EVALSHA of scripts that are not BullMQ's, without those by the clock / answers",
  ),
  bullmqPerJob: less(
    'BullMQ scripts/job',
    '',
    'EVALSHA of scripts of BullMQ, without those by the clock / answers',
  ),
  cpuPerSubmit: less(
    'CPU per submitted job',
    'us',
    'CPU of API and Redis / jobs, while no worker runs',
  ),
  cpuPerLine: less('CPU per line', 'us', 'CPU of batch runner, API, worker and Redis / lines'),
  linesPerS: more('lines/s', '', 'lines / from the making of the batch to its end'),
  residentRunner: less('RSS batch runner', 'MB', 'VmHWM of the batch runner after the batch'),
  residentIdle: less('RSS API, all streams open', 'MB', 'the largest VmRSS while nothing happens'),
  coreShareIdle: less(
    'CPU, all streams open',
    '% of a core',
    'CPU of the API / time while nothing happens',
  ),
  readyAfter: less('ready after', 's', 'from `npm start` to the first 200 of /readyz'),
} as const satisfies Record<string, Figure>;

export type FigureName = keyof typeof FIGURES;
export type Figures = Readonly<Partial<Record<FigureName, number>>>;

export const FIGURE_NAMES = Object.keys(FIGURES) as FigureName[];

const NS_PER_US = 1_000;
const BYTES_PER_MB = 1_000_000;

/** `direct`: of the same round; null where it was not measured. */
export function figuresOf(slice: Slice, direct: Slice | null): Figures {
  const { ttftMs, gapsMs, full, tokens, whole, cpuNs, residentBytes, redis, writes } = slice;
  const cpu = sum(Object.values(cpuNs)) / NS_PER_US;
  const hasProcesses = Object.keys(cpuNs).length > 0;
  return without({
    ttftP50: ttftMs?.p50,
    ttftP95: ttftMs?.p95,
    addedTtftP50: difference(ttftMs?.p50, direct?.ttftMs?.p50),
    addedTtftP95: difference(ttftMs?.p95, direct?.ttftMs?.p95),
    gapP95: gapsMs?.p95,
    addedGapP95: difference(gapsMs?.p95, direct?.gapsMs?.p95),
    tokensPerS: full.ms > 0 ? (full.tokens * 1_000) / full.ms : undefined,
    jobsPerS: full.ms > 0 ? (full.answers * 1_000) / full.ms : undefined,
    cpuPerToken: hasProcesses ? cpu / tokens : undefined,
    cpuPerTokenApi: per(cpuNs.api, tokens * NS_PER_US),
    cpuPerTokenWorker: per(cpuNs.worker, tokens * NS_PER_US),
    cpuPerTokenRedis: per(cpuNs.redis, tokens * NS_PER_US),
    cpuPerJob: hasProcesses ? cpu / whole : undefined,
    residentApi: per(residentBytes.api, BYTES_PER_MB),
    residentWorker: per(residentBytes.worker, BYTES_PER_MB),
    residentGateway: per(residentBytes.gateway, BYTES_PER_MB),
    residentRedis: per(residentBytes.redis, BYTES_PER_MB),
    loopDelayApi: slice.loopDelayMs.api,
    loopDelayWorker: slice.loopDelayMs.worker,
    publishPerToken: redis === null ? undefined : (redis['publish'] ?? 0) / tokens,
    subscribePerJob:
      redis === null ? undefined : ((redis['subscribe'] ?? 0) + (redis['ssubscribe'] ?? 0)) / whole,
    writesPerToken: per(writes.api, tokens),
  });
}

function less(title: string, unit: string, formula: string): Figure {
  return { title, unit, formula, isBetter: 'less' };
}

function more(title: string, unit: string, formula: string): Figure {
  return { title, unit, formula, isBetter: 'more' };
}

function difference(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined || other === undefined ? undefined : one - other;
}

function per(value: number | undefined, divisor: number): number | undefined {
  return value === undefined ? undefined : value / divisor;
}

/** Only what is a number: a slice without answers has no figures per token. */
function without(values: Partial<Record<FigureName, number | undefined>>): Figures {
  return Object.fromEntries(
    Object.entries(values).filter(([, value]) => value !== undefined && Number.isFinite(value)),
  );
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
