/** A worker of the tier `fast` as the real process it is. */
import { spawn } from 'node:child_process';
import { tmpdir } from 'node:os';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import { COMPILE_CACHE } from './compile-cache.ts';
import { waitUntil } from './wait-until.ts';

const MAIN = fileURLToPath(new URL('../../apps/worker/src/main.ts', import.meta.url));

export interface WorkerProcess {
  /** Its name, as jobs' events have it. */
  readonly id: string;
  readonly pid: number;
  readonly opsUrl: string;
  /** What it has logged, as parsed lines. */
  readonly logs: readonly Readonly<Record<string, unknown>>[];
  kill(signal: NodeJS.Signals): void;
  /** Resolves when it has ended, to its exit code; null where a signal has ended it. */
  readonly exited: Promise<number | null>;
  /** Sends SIGTERM. Resolves to the exit code. */
  stop(): Promise<number | null>;
}

/** It is stopped when the test ends. */
export async function startWorkerProcess(
  environment: Readonly<Record<string, string>>,
): Promise<WorkerProcess> {
  const child = spawn(process.execPath, [MAIN, '--tier', 'fast'], {
    // Nothing of this machine's settings: neither variables nor a configuration file.
    cwd: tmpdir(),
    env: { ...COMPILE_CACHE, OPS_PORT: '0', QARR_DRAIN_MS: '200', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const logs: Record<string, unknown>[] = [];
  let stderr = '';
  createInterface(child.stdout).on('line', (line) => logs.push(JSON.parse(line)));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve));
  const orphaned = () => void child.kill('SIGKILL');
  process.once('exit', orphaned);

  async function stop(): Promise<number | null> {
    process.off('exit', orphaned);
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGTERM');
      // A frozen process takes no other signal.
      child.kill('SIGCONT');
    }
    const code = await exited;
    if (stderr !== '') throw new Error(`The worker wrote to stderr: ${stderr}`);
    return code;
  }
  onTestFinished(async () => void (await stop()));
  const started = await waitUntil('the worker starts', () => {
    if (child.exitCode !== null) throw new Error(`The worker does not start: ${stderr}`);
    return logs.find(({ msg }) => msg === 'worker started');
  });
  return {
    id: String(started['worker']),
    pid: child.pid ?? 0,
    opsUrl: `http://127.0.0.1:${String(started['ops_port'])}`,
    logs,
    kill: (signal) => void child.kill(signal),
    exited,
    stop,
  };
}
