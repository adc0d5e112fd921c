/** Starts a process of the bench's own that talks to it by messages. */
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';

const STOP_MS = 5_000;

/**
 * Resolves with the first message of the process, which says that it is there. What it writes to its
 * standard error is the bench's own: only what goes wrong is written there.
 */
export async function startChild(
  module: URL,
  {
    args = [],
    execArgv = [],
    env,
  }: {
    args?: readonly string[];
    execArgv?: readonly string[];
    /** On top of nothing: a process of the bench inherits no settings. */
    env?: Readonly<Record<string, string>>;
  } = {},
): Promise<{ child: ChildProcess; pid: number; ready: unknown }> {
  const child = fork(module, args, {
    serialization: 'advanced',
    execArgv: [...execArgv],
    env: { PATH: '', NODE_ENV: 'production', ...env },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const exited = once(child, 'exit').then(([code, signal]) => {
    throw new Error(`${module.pathname} ended before it was ready: ${String(code ?? signal)}`);
  });
  const [ready] = (await Promise.race([once(child, 'message'), exited])) as [unknown];
  exited.catch(() => {
    // It has been ready.
  });
  const { pid } = child;
  if (pid === undefined) throw new Error(`${module.pathname} has no process`);
  return { child, pid, ready };
}

export async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
  await exited;
  clearTimeout(timer);
}
