/** One slice: a load on one path, and all that it has cost. */
import { percentilesOf } from '../../test/overload/figures/statistics.ts';
import type { Percentiles } from '../../test/overload/figures/statistics.ts';
import type { LoadOptions, LoadResult } from '../load/load.ts';
import type { PathProcess, ProcessRole } from '../paths/path.ts';
import { isQarr } from '../paths/qarr.ts';
import type { LivePath } from '../world.ts';
import { readEventLoopDelay } from './event-loop-delay.ts';
import { cpuBetween, readCpu, readMemory, readWrites } from './proc.ts';
import { countsBetween, readCommandCounts } from './redis-counts.ts';
import type { CommandCounts } from './redis-counts.ts';

type ByRole = Readonly<Partial<Record<ProcessRole, number>>>;

export interface Slice {
  readonly whole: number;
  readonly errors: Readonly<Record<string, number>>;
  readonly firstError: string | null;
  readonly tokens: number;
  readonly bytes: number;
  readonly tookMs: number;
  readonly full: LoadResult['full'];
  readonly ttftMs: Percentiles | null;
  readonly gapsMs: Percentiles | null;
  readonly answerMs: Percentiles | null;
  /** How late the client itself wrote. */
  readonly latenessMs: Percentiles | null;
  readonly client: LoadResult['client'];
  /** Over all processes of a role. */
  readonly cpuNs: ByRole;
  readonly residentBytes: ByRole;
  readonly peakBytes: ByRole;
  readonly writes: ByRole;
  /** Calls of commands; null where it has no Redis. */
  readonly redis: CommandCounts | null;
  /** The 99th percentile of the process of a role that has the highest. */
  readonly loopDelayMs: ByRole;
}

export type RunLoad = (options: LoadOptions) => Promise<LoadResult>;

export async function takeSlice(
  path: LivePath,
  load: Omit<LoadOptions, 'urls' | 'headers'>,
  runLoad: RunLoad,
): Promise<Slice> {
  const { processes, redis } = path;
  await loopDelays(path);
  const redisBefore = redis === null ? null : await readCommandCounts(redis);
  const before = await readProcesses(processes);
  const result = await runLoad({
    ...load,
    urls: urlsFor(path, load),
    headers: path.running.headers,
  });
  const after = await readProcesses(processes);
  const redisAfter = redis === null ? null : await readCommandCounts(redis);
  const sum = (valueOf: (index: number) => number) => sumByRole(processes, valueOf);
  return {
    whole: result.whole,
    errors: result.errors,
    firstError: result.firstError,
    tokens: result.tokens,
    bytes: result.bytes,
    tookMs: result.tookMs,
    full: result.full,
    ttftMs: percentilesOf(Array.from(result.ttftMs)),
    gapsMs: percentilesOf(Array.from(result.gapsMs)),
    answerMs: percentilesOf(Array.from(result.answerMs)),
    latenessMs: percentilesOf(Array.from(result.latenessMs)),
    client: result.client,
    cpuNs: sum((at) => cpuBetween(before[at]!.cpu, after[at]!.cpu)),
    residentBytes: sum((at) => after[at]!.memory.residentBytes),
    peakBytes: sum((at) => after[at]!.memory.peakBytes),
    writes: sum((at) => after[at]!.writes - before[at]!.writes),
    redis:
      redisBefore === null || redisAfter === null ? null : countsBetween(redisBefore, redisAfter),
    loopDelayMs: await loopDelays(path),
  };
}

/** A load of jobs goes to another route than one of chats. */
function urlsFor(
  { running }: LivePath,
  { exchanging }: Pick<LoadOptions, 'exchanging'>,
): readonly string[] {
  if (exchanging?.kind !== 'job') return running.urls;
  return running.urls.map((url) => new URL('/v1/jobs', url).href);
}

async function readProcesses(processes: readonly PathProcess[]) {
  return Promise.all(
    processes.map(async ({ pid }) => {
      const [cpu, memory, writes] = await Promise.all([
        readCpu(pid),
        readMemory(pid),
        readWrites(pid),
      ]);
      return { cpu, memory, writes };
    }),
  );
}

function sumByRole(processes: readonly PathProcess[], valueOf: (index: number) => number): ByRole {
  const sums: Partial<Record<ProcessRole, number>> = {};
  for (const [index, { role }] of processes.entries()) {
    sums[role] = (sums[role] ?? 0) + valueOf(index);
  }
  return sums;
}

async function loopDelays({ running }: LivePath): Promise<ByRole> {
  if (!isQarr(running)) return {};
  const worst: Partial<Record<ProcessRole, number>> = {};
  for (const { role, url } of running.ops) {
    const delayMs = await readEventLoopDelay(url);
    if (delayMs !== null) worst[role] = Math.max(worst[role] ?? 0, delayMs);
  }
  return worst;
}
