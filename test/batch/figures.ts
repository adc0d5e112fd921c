/** What processes and Redis take while it goes on, and what comes of it. */
import { readFile } from 'node:fs/promises';
import type { Redis } from 'ioredis';
import type { Poll, StreamSeen } from './evidence.ts';

const EVERY_MS = 500;
const QUARTERS = [0, 0.25, 0.5, 0.75, 1] as const;

export interface Memory {
  readonly firstBytes: number;
  readonly mostBytes: number;
}

export interface MemoryWatch {
  /** What is taken now is what its growth is measured from. */
  begin(): Promise<void>;
  /** By process, and of Redis; nothing of one that was not seen at the beginning. */
  figures(): Record<string, Memory>;
  stop(): void;
}

export function watchMemory({
  processes,
  redis,
}: {
  processes: readonly { readonly name: string; readonly pid: number | null }[];
  redis: Redis;
}): MemoryWatch {
  const seen = new Map<string, { firstBytes: number; mostBytes: number }>();
  const look = async (isFirst: boolean) => {
    for (const { name, pid } of processes) note(name, await residentBytes(pid), isFirst);
    note('redis', await redisBytes(redis), isFirst);
  };
  function note(name: string, bytes: number | null, isFirst: boolean): void {
    if (bytes === null) return;
    const known = seen.get(name);
    if (known !== undefined && !isFirst) known.mostBytes = Math.max(known.mostBytes, bytes);
    else if (isFirst) seen.set(name, { firstBytes: bytes, mostBytes: bytes });
  }
  const clock = setInterval(() => void look(false), EVERY_MS);
  return {
    begin: () => look(true),
    figures: () => Object.fromEntries(seen),
    stop: () => clearInterval(clock),
  };
}

/** Lines per second: all in all, and in each quarter of them. */
export function rates(polls: readonly Poll[]): { perS: number; quarters: number[] } {
  const total = polls.at(-1)?.total ?? 0;
  const began = polls.find(({ status }) => status !== 'validating')?.atMs ?? 0;
  const times = QUARTERS.map((share) =>
    share === 0
      ? began
      : (polls.find(({ completed, failed }) => completed + failed >= share * total)?.atMs ?? began),
  );
  return {
    perS: perSecond(total, { fromMs: began, toMs: times.at(-1) ?? began }),
    quarters: times
      .slice(1)
      .map((to, index) => perSecond(total / 4, { fromMs: times[index] ?? began, toMs: to })),
  };
}

function perSecond(lines: number, { fromMs, toMs }: { fromMs: number; toMs: number }): number {
  return toMs > fromMs ? (lines * 1_000) / (toMs - fromMs) : 0;
}

export interface FirstTokens {
  readonly n: number;
  readonly medianMs: number | null;
  readonly p95Ms: number | null;
}

/** Of the streams that began in a time: how long they waited for their first token. */
export function firstTokens(
  streams: readonly StreamSeen[],
  { fromMs, toMs }: { fromMs: number; toMs: number },
): FirstTokens {
  const waits = streams
    .filter((stream) => stream.fromMs >= fromMs && stream.fromMs < toMs)
    .flatMap((stream) => (stream.firstMs === null ? [] : [stream.firstMs - stream.fromMs]))
    .toSorted((a, b) => a - b);
  const at = (share: number) => waits[Math.floor(share * (waits.length - 1))] ?? null;
  return { n: waits.length, medianMs: at(0.5), p95Ms: at(0.95) };
}

/** Null where it does not run, or where there is no `/proc`. */
async function residentBytes(pid: number | null): Promise<number | null> {
  if (pid === null) return null;
  const text = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(text) ?? [];
  return kilobytes === undefined ? null : Number(kilobytes) * 1_024;
}

/** Null while it is away. */
async function redisBytes(redis: Redis): Promise<number | null> {
  if (redis.status !== 'ready') return null;
  const text = await redis.info('memory').catch(() => '');
  const [, bytes] = /^used_memory:(\d+)/m.exec(text) ?? [];
  return bytes === undefined ? null : Number(bytes);
}
