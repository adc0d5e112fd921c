/** One process that this one started: in its own group, with its output in a log file. */
import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { trySignal } from './end-process.ts';

export interface ChildSpec {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  readonly logFile: string;
  /** Keeps what the log holds: for a process that is started again. */
  readonly appendsToLog: boolean;
}

export interface Exit {
  /** In words: `exit code 1`, `signal SIGKILL`, or why it could not be started. */
  readonly reason: string;
  readonly bySignal: boolean;
}

export interface Child {
  /** Undefined when it could not be started; `exited` says why. */
  readonly pid: number | undefined;
  readonly exited: Promise<Exit>;
  /** SIGTERM, then SIGKILL to its whole group after `graceMs`. Resolves when it is gone. */
  end(graceMs: number): Promise<void>;
  kill(): void;
}

/**
 * Detached, so that a terminal's Ctrl-C reaches the CLI alone, which stops its children in order.
 * The log is the child's own file descriptor: it goes on writing whatever becomes of the CLI.
 */
export function startChild({ command, args, cwd, env, logFile, appendsToLog }: ChildSpec): Child {
  const log = openSync(logFile, appendsToLog ? 'a' : 'w');
  const child = spawn(command, args, { cwd, env, detached: true, stdio: ['ignore', log, log] });
  closeSync(log);
  const { pid } = child;

  let isGone = pid === undefined;
  const exited = new Promise<Exit>((resolve) => {
    child.once('error', (error: NodeJS.ErrnoException) =>
      resolve({
        reason: error.code === 'ENOENT' ? `${command} is not on the PATH` : error.message,
        bySignal: false,
      }),
    );
    child.once('exit', (code, signal) => {
      isGone = true;
      const reason = code === null ? `signal ${signal}` : `exit code ${code}`;
      resolve({ reason, bySignal: code === null });
    });
  });
  const kill = () => {
    // Only while it lives: afterwards the number may be another group's.
    if (!isGone && pid !== undefined) trySignal(-pid, 'SIGKILL');
  };
  return {
    pid,
    exited,
    kill,
    async end(graceMs) {
      if (isGone || pid === undefined) return;
      trySignal(pid, 'SIGTERM');
      const killTimer = setTimeout(kill, graceMs);
      await exited;
      clearTimeout(killTimer);
    },
  };
}
