/** A whole system on this machine, started as its users start it. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { readFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { waitUntil } from './wait-until.ts';

const CLI = join(import.meta.dirname, '../../apps/cli/src/main.ts');
const START_TIMEOUT_MS = 60_000;

export interface Run {
  readonly folder: string;
  readonly child: ChildProcess;
  /** What it has written so far. */
  output(): string;
  /** Waits for its end; the exit code, or the signal that ended it. */
  exit(): Promise<number | NodeJS.Signals>;
  /** Pids of the processes that it has started, by name. */
  pids(): Promise<Record<string, number>>;
}

export interface Stack extends Run {
  readonly baseUrl: string;
  /** The end of a process's log. */
  log(name: string): Promise<string>;
}

/** Runs `qarr` in a folder of its own; whatever still runs in the end is ended. */
export async function runCli(
  args: readonly string[],
  { env = {}, folder }: { env?: Record<string, string>; folder?: string } = {},
): Promise<Run> {
  const usedFolder = folder ?? (await mkdtemp(join(tmpdir(), 'qarr-stack-')));
  const child = spawn(process.execPath, [CLI, ...args], {
    cwd: usedFolder,
    env: { ...process.env, PORT: '0', OPS_PORT: '0', REDIS_URL: '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString('utf8')));
  child.stderr?.on('data', (chunk: Buffer) => (output += chunk.toString('utf8')));
  const ended = new Promise<number | NodeJS.Signals>((resolve) => {
    child.once('close', (code, signal) => resolve(code ?? signal ?? 0));
  });
  onTestFinished(async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
    await ended;
    if (folder === undefined) await rm(usedFolder, { recursive: true, force: true });
  });
  return {
    folder: usedFolder,
    child,
    output: () => output,
    exit: () => ended,
    pids: () => recordedPids(usedFolder),
  };
}

/** Starts everything and waits until it serves and its demo is over. */
export async function startStack(env: Record<string, string> = {}): Promise<Stack> {
  const run = await runCli(['up'], { env: { QARR_SIM_TIME_SCALE: '0.1', ...env } });
  const url = await waitUntil(
    'the stack serves',
    () => {
      if (run.child.exitCode !== null) throw new Error(`It ended:\n${run.output()}`);
      return /curl -N (http:\/\/[^/\s]+)\//.exec(run.output())?.[1];
    },
    { timeoutMs: START_TIMEOUT_MS },
  );
  return {
    ...run,
    baseUrl: url,
    log: (name) => readFile(join(run.folder, `.qarr/logs/${name}.log`), 'utf8'),
  };
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function recordedPids(folder: string): Promise<Record<string, number>> {
  const lock = JSON.parse(await readFile(join(folder, '.qarr/up.json'), 'utf8')) as {
    children: { name: string; pid: number }[];
  };
  return Object.fromEntries(lock.children.map(({ name, pid }) => [name, pid]));
}
