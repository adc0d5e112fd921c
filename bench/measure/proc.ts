/** What Linux tells of processes: CPU, memory, system calls. The only reader of `/proc` of the bench. */
import { readFile, readdir } from 'node:fs/promises';

/** Of `/proc/<pid>/stat`: USER_HZ, which Linux fixes for programs. */
const NS_PER_TICK = 10_000_000;

/** CPU of one process at one moment. */
export interface CpuReading {
  /** On a core, by thread; to the nanosecond, but without those that have ended. */
  readonly threadNs: ReadonlyMap<string, number>;
  /** With those that have ended, to 10 ms. */
  readonly totalNs: number;
}

export async function readCpu(pid: number): Promise<CpuReading> {
  const threads = await readdir(`/proc/${pid}/task`);
  const threadNs = new Map<string, number>();
  for (const thread of threads) {
    // One may end meanwhile.
    const text = await readFile(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').catch(() => null);
    if (text !== null) threadNs.set(thread, Number(text.split(' ', 1)[0]));
  }
  const { ownNs } = readStat(await readFile(`/proc/${pid}/stat`, 'utf8'));
  return { threadNs, totalNs: ownNs };
}

/** CPU that was used between two readings, in ns: exact unless a thread has ended in between. */
export function cpuBetween(before: CpuReading, after: CpuReading): number {
  const isExact = [...before.threadNs.keys()].every((thread) => after.threadNs.has(thread));
  if (!isExact) return Math.max(0, after.totalNs - before.totalNs);
  let usedNs = 0;
  for (const [thread, ns] of after.threadNs) usedNs += ns - (before.threadNs.get(thread) ?? 0);
  return usedNs;
}

export interface Memory {
  readonly residentBytes: number;
  /** The most since its start. */
  readonly peakBytes: number;
}

export async function readMemory(pid: number): Promise<Memory> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const bytes = (name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) * 1_024;
  return { residentBytes: bytes('VmRSS'), peakBytes: bytes('VmHWM') };
}

/** System calls that wrote: to sockets, pipes and files, and to wake other threads up. */
export async function readWrites(pid: number): Promise<number> {
  const io = await readFile(`/proc/${pid}/io`, 'utf8');
  return Number(/^syscw: (\d+)$/m.exec(io)?.[1] ?? 0);
}

/** CPU of all processes of the machine together, and of one process with all that it has started, in ns. */
export interface MachineReading {
  readonly busyNs: number;
  readonly ownNs: number;
}

export async function readMachine(rootPid = process.pid): Promise<MachineReading> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const texts = await Promise.all(
    // Some end meanwhile.
    pids.map((pid) => readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null)),
  );
  const processes = texts.flatMap((text) => (text === null ? [] : [readStat(text)]));
  const childrenOf = Map.groupBy(processes, ({ parent }) => parent);
  const tree = processes.filter(({ pid }) => pid === rootPid);
  // Grows while it is walked.
  for (const { pid } of tree) tree.push(...(childrenOf.get(pid) ?? []));
  const ownNs = tree.reduce((sum, one) => sum + one.ownNs + one.endedChildrenNs, 0);
  return { busyNs: busyNsOf(await readFile('/proc/stat', 'utf8')), ownNs };
}

interface Stat {
  readonly pid: number;
  readonly parent: number;
  readonly ownNs: number;
  readonly endedChildrenNs: number;
}

export function readStat(text: string): Stat {
  // The name of the program stands in parentheses and may hold anything.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const ticks = (from: number) => Number(fields[from]) + Number(fields[from + 1]);
  return {
    pid: Number.parseInt(text, 10),
    parent: Number(fields[1]),
    ownNs: ticks(11) * NS_PER_TICK,
    endedChildrenNs: ticks(13) * NS_PER_TICK,
  };
}

/** All but idle, waiting for disks, and what the hypervisor gave to others. */
export function busyNsOf(stat: string): number {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softIrq = 0] = (
    /^cpu +(.*)$/m.exec(stat)?.[1] ?? ''
  )
    .split(' ')
    .map(Number);
  return (user + nice + system + irq + softIrq) * NS_PER_TICK;
}
