/** A process of ours, from its start to its end. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** A process that is told to stop and does not is killed: the suite must end. */
const STOP_TIMEOUT_MS = 10_000;

/** The same sources are started dozens of times: this halves what a start costs. */
const COMPILE_CACHE = join(tmpdir(), 'qarr-conformance-compiled');

export interface StartedProcess<Started> {
  /** What it said when it was ready. */
  readonly started: Started;
  readonly hasEnded: boolean;
  readonly ended: Promise<void>;
  /** SIGTERM, and SIGKILL where that is not enough. Idempotent. */
  stop(): Promise<void>;
}

const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** Rejects, with what the process wrote to stderr, when it ends before it is ready. */
export async function startProcess<Started>({
  name,
  script,
  args,
  env = {},
  readStart,
}: {
  name: string;
  script: URL;
  args: readonly string[];
  env?: Readonly<Record<string, string>>;
  /** From a line of its output to what shows that it is ready; null for any other line. */
  readStart: (line: string) => Started | null;
}): Promise<StartedProcess<Started>> {
  const child = spawn(process.execPath, [script.pathname, ...args], {
    // Nothing of this machine's settings: neither variables nor a configuration file.
    cwd: tmpdir(),
    env: { NODE_COMPILE_CACHE: COMPILE_CACHE, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  let hasEnded = false;
  const ended = new Promise<void>((resolve) => {
    child.once('close', () => {
      hasEnded = true;
      running.delete(child);
      resolve();
    });
  });
  const started = new Promise<Started>((resolve, reject) => {
    createInterface(child.stdout).on('line', (line) => {
      const start = readStart(line);
      if (start !== null) resolve(start);
    });
    child.once('error', reject);
    child.once('close', () => reject(new Error(`${name} ended before it was ready: ${stderr}`)));
  });
  return {
    started: await started,
    get hasEnded() {
      return hasEnded;
    },
    ended,
    async stop() {
      child.kill('SIGTERM');
      const killing = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
      await ended;
      clearTimeout(killing);
    },
  };
}
