/**
 * A process that is started again when it ends, or whose end is a failure.
 *
 * It is
 * - `running`: leaves by its end, or by `stop()`;
 * - `waiting`: it ended, and starts again when its delay is over; leaves by that, or by `stop()`;
 * - `stopping`: it was told to end; leaves by its end;
 * - `stopped`: nothing leaves it.
 */
import path from 'node:path';
import { startChild } from './child.ts';
import type { Child, Exit } from './child.ts';
import { CliError } from '../cli-error.ts';
import type { Lock } from './lock.ts';
import { lastWords, logSize, readTail } from './log-file.ts';

const RESTART_DELAY_MS = 1000;
const RESTART_DELAY_MS_MAX = 10_000;
/** A process that lived this long did not end because of how it started. */
const HEALTHY_AFTER_MS = 30_000;

export interface ProcessSpec {
  /** Unique; also the name of its log. */
  readonly name: string;
  readonly command: string;
  /** Asked at each start: a simulator keeps the port that it found at its first one. */
  readonly args: () => readonly string[];
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  readonly whenItEnds: 'restart' | 'fail';
}

export interface SupervisedProcess {
  readonly name: string;
  readonly logFile: string;
  /** Undefined while it waits to be started again. */
  pid(): number | undefined;
  /** What it wrote since it was started last. */
  output(): string;
  /** SIGTERM, SIGKILL after `graceMs`; resolves when it is gone for good. */
  stop(graceMs: number): Promise<void>;
  /** SIGKILL. It says nothing about whether it starts again; only `stop()` does. */
  kill(): void;
}

export interface SupervisionDeps {
  readonly lock: Pick<Lock, 'add' | 'remove'>;
  readonly logFolder: string;
  readonly say: (line: string) => void;
  /** Before everything serves, the end of any process is a failure. */
  readonly isServing: () => boolean;
  /** Called with one line that says what ended, why, and where its log is. */
  readonly onFailure: (error: CliError) => void;
  readonly restartDelayMs?: number | undefined;
}

type State =
  | { kind: 'running'; child: Child; startedAtMs: number; logStart: number }
  | { kind: 'waiting'; timer: NodeJS.Timeout }
  | { kind: 'stopping'; child: Child; ended: Promise<void> }
  | { kind: 'stopped' };

export function superviseProcess(spec: ProcessSpec, deps: SupervisionDeps): SupervisedProcess {
  const logFile = path.join(deps.logFolder, `${spec.name}.log`);
  const firstDelayMs = deps.restartDelayMs ?? RESTART_DELAY_MS;
  let nextDelayMs = firstDelayMs;
  let state = run({ isFirst: true });

  function run({ isFirst }: { isFirst: boolean }): State {
    const logStart = isFirst ? 0 : logSize(logFile);
    const child = startChild({
      command: spec.command,
      args: spec.args(),
      cwd: spec.cwd,
      env: spec.env,
      logFile,
      appendsToLog: !isFirst,
    });
    if (child.pid !== undefined) deps.lock.add({ name: spec.name, pid: child.pid });
    void child.exited.then((exit) => onEnd(child, exit));
    return { kind: 'running', child, startedAtMs: performance.now(), logStart };
  }

  function onEnd(child: Child, { reason, bySignal }: Exit): void {
    if (child.pid !== undefined) deps.lock.remove(child.pid);
    if (state.kind !== 'running' || state.child !== child) return;
    const words = lastWords(readTail({ file: logFile, from: state.logStart }), {
      onlyErrors: bySignal,
    });
    const ended = `${spec.name} ended (${reason})${words === '' ? '' : `: ${words}`}`;
    if (spec.whenItEnds === 'fail' || !deps.isServing()) {
      state = { kind: 'stopped' };
      deps.onFailure(new CliError(`${ended}; its log is ${logFile}`));
      return;
    }
    if (performance.now() - state.startedAtMs > HEALTHY_AFTER_MS) nextDelayMs = firstDelayMs;
    deps.say(`${ended}; it starts again in ${nextDelayMs / 1000} s`);
    const timer = setTimeout(() => {
      state = run({ isFirst: false });
    }, nextDelayMs);
    nextDelayMs = Math.min(nextDelayMs * 2, RESTART_DELAY_MS_MAX);
    state = { kind: 'waiting', timer };
  }

  return {
    name: spec.name,
    logFile,
    pid: () => (state.kind === 'running' ? state.child.pid : undefined),
    output: () =>
      state.kind === 'running' ? readTail({ file: logFile, from: state.logStart }) : '',
    async stop(graceMs) {
      if (state.kind === 'running') {
        const { child } = state;
        state = { kind: 'stopping', child, ended: child.end(graceMs) };
      }
      if (state.kind === 'waiting') clearTimeout(state.timer);
      if (state.kind === 'stopping') await state.ended;
      state = { kind: 'stopped' };
    },
    kill() {
      if (state.kind === 'running' || state.kind === 'stopping') state.child.kill();
    },
  };
}
