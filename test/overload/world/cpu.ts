/** What each process works, from `/proc`; nothing where there is no such thing. */
import { readFile } from 'node:fs/promises';
import { nowMs } from '../load/outcome.ts';

/** Of `/proc/<pid>/stat`: USER_HZ, which Linux fixes for programs. */
const TICKS_PER_SECOND = 100;
const EVERY_MS = 1_000;

export interface CpuSample {
  readonly atMs: number;
  /** Seconds of CPU since its start, by process. */
  readonly seconds: Readonly<Record<string, number>>;
  /** Of all cores together, whoever used them. */
  readonly machineBusySeconds: number;
}

export interface CpuWatch {
  readonly samples: readonly CpuSample[];
  stop(): void;
}

export function watchCpu(pids: () => Readonly<Record<string, number>>): CpuWatch {
  const samples: CpuSample[] = [];
  const look = async () => {
    const seconds: Record<string, number> = {};
    for (const [name, pid] of Object.entries(pids())) {
      const used = await secondsOf(pid);
      if (used !== null) seconds[name] = used;
    }
    samples.push({ atMs: nowMs(), seconds, machineBusySeconds: await machineBusySeconds() });
  };
  const clock = setInterval(() => void look(), EVERY_MS);
  return { samples, stop: () => clearInterval(clock) };
}

/** Shares of one core between two times, by process, and of `machine` as a whole. */
export function sharesOf(
  samples: readonly CpuSample[],
  { fromMs, toMs }: { fromMs: number; toMs: number },
): Record<string, number> {
  const within = samples.filter(({ atMs }) => atMs >= fromMs && atMs <= toMs);
  const [first, last] = [within[0], within.at(-1)];
  if (first === undefined || last === undefined || first === last) return {};
  const seconds = (last.atMs - first.atMs) / 1_000;
  const shares: Record<string, number> = {};
  for (const [name, used] of Object.entries(last.seconds)) {
    const before = first.seconds[name];
    // One that was started anew counts from there.
    if (before !== undefined && used >= before) shares[name] = (used - before) / seconds;
  }
  shares['machine'] = (last.machineBusySeconds - first.machineBusySeconds) / seconds;
  return shares;
}

async function secondsOf(pid: number): Promise<number | null> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null);
  // The name of the program stands in parentheses and may hold anything.
  const fields = text?.slice(text.lastIndexOf(')') + 2).split(' ');
  if (fields === undefined) return null;
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

async function machineBusySeconds(): Promise<number> {
  const text = await readFile('/proc/stat', 'utf8').catch(() => '');
  const [user = 0, nice = 0, system = 0, , , irq = 0, softIrq = 0] = (
    /^cpu +(.*)$/m.exec(text)?.[1] ?? ''
  )
    .split(' ')
    .map(Number);
  return (user + nice + system + irq + softIrq) / TICKS_PER_SECOND;
}
