/** All processes of a stack: they start failing together, and end together. */
import type { Lock } from './lock.ts';
import { superviseProcess } from './supervised-process.ts';
import type { ProcessSpec, SupervisedProcess } from './supervised-process.ts';

export interface Supervisor {
  /** Aborted, with a CliError of one line as its reason, when a process ended that must not. */
  readonly failed: AbortSignal;
  start(spec: ProcessSpec): SupervisedProcess;
  /** From now on a process that may be missed for a moment is started again when it ends. */
  serving(): void;
  /** Ends everything at once; a stop that waits for one of them is then done. */
  killAll(): void;
}

export function createSupervisor(deps: {
  lock: Pick<Lock, 'add' | 'remove'>;
  logFolder: string;
  say: (line: string) => void;
  restartDelayMs?: number;
}): Supervisor {
  const failure = new AbortController();
  const processes: SupervisedProcess[] = [];
  let isServing = false;
  return {
    failed: failure.signal,
    start(spec) {
      const supervised = superviseProcess(spec, {
        ...deps,
        isServing: () => isServing,
        onFailure: (error) => failure.abort(error),
      });
      processes.push(supervised);
      return supervised;
    },
    serving() {
      isServing = true;
    },
    killAll() {
      for (const supervised of processes) supervised.kill();
    },
  };
}
