/** Ends a process that is not a child of this one, but was recorded by an earlier run. */
import { setTimeout as sleep } from 'node:timers/promises';
import { processMark } from './process-mark.ts';

const POLL_MS = 20;
/** SIGKILL acts at once, unless the process waits for a disk. */
const KILL_WAIT_MS = 2000;

export interface RecordedProcess {
  readonly name: string;
  readonly pid: number;
  readonly mark: string;
}

export function isAlive({ pid, mark }: RecordedProcess): boolean {
  return processMark(pid) === mark;
}

/** SIGTERM, then SIGKILL to its whole group after `graceMs`. Does nothing to a reused pid. */
export async function endProcess(recorded: RecordedProcess, graceMs: number): Promise<void> {
  if (!isAlive(recorded)) return;
  trySignal(recorded.pid, 'SIGTERM');
  if (await isGoneWithin(recorded, graceMs)) return;
  trySignal(-recorded.pid, 'SIGKILL');
  await isGoneWithin(recorded, KILL_WAIT_MS);
}

async function isGoneWithin(recorded: RecordedProcess, limitMs: number): Promise<boolean> {
  const deadlineMs = performance.now() + limitMs;
  while (isAlive(recorded)) {
    if (performance.now() > deadlineMs) return false;
    await sleep(POLL_MS);
  }
  return true;
}

/** Whether the signal could be sent; a process that is gone needs none. */
export function trySignal(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    // It ended by itself in the meantime.
    return false;
  }
}
