import { setTimeout as sleep } from 'node:timers/promises';

/** What a process costs, as it says itself on its ops port. */
export interface ProcessFigures {
  readonly residentBytes: number;
  readonly cpuSeconds: number;
  readonly streams: number;
}

export async function figuresOf({ opsUrl }: { opsUrl: string }): Promise<ProcessFigures> {
  const text = await (await fetch(`${opsUrl}/metrics`)).text();
  const value = (name: string) => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
  return {
    residentBytes: value('process_resident_memory_bytes'),
    cpuSeconds: value('process_cpu_seconds_total'),
    streams: value('qarr_sse_connections'),
  };
}

/** The figures again and again for so long: the largest memory, and the share of one core. */
export async function watchProcess(
  api: { opsUrl: string },
  { forMs, everyMs = 500 }: { forMs: number; everyMs?: number },
): Promise<{ residentBytesMax: number; residentBytesLast: number; cpuShare: number }> {
  const first = await figuresOf(api);
  const beganMs = performance.now();
  let last = first;
  let residentBytesMax = first.residentBytes;
  do {
    await sleep(everyMs);
    last = await figuresOf(api);
    residentBytesMax = Math.max(residentBytesMax, last.residentBytes);
  } while (performance.now() - beganMs < forMs);
  const seconds = (performance.now() - beganMs) / 1_000;
  return {
    residentBytesMax,
    residentBytesLast: last.residentBytes,
    cpuShare: (last.cpuSeconds - first.cpuSeconds) / seconds,
  };
}
