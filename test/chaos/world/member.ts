/**
 * One process of the system under test: started, killed, frozen, rolled, and started again where it
 * ends by itself, as a supervisor would.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { History } from '../history.ts';

/** The same sources are started over and over: this halves what a start costs. */
const COMPILE_CACHE = join(tmpdir(), 'qarr-chaos-compiled');
/** A process whose Redis is away ends at once, and is started again. */
const RESTART_MS = 200;
/** Longer than any fault lasts: what does not start within it never will. */
const START_TIMEOUT_MS = 60_000;
/** Beyond every drain time that the world sets. */
const STOP_TIMEOUT_MS = 15_000;

export type MemberKind = 'api' | 'runner' | 'worker' | 'engine';

export interface Member {
  readonly name: string;
  readonly kind: MemberKind;
  /** Where it serves; the same after each start. Of a worker, its ops port, which may change. */
  readonly url: string;
  /** Null while it does not run. */
  readonly pid: number | null;
  /** Resolves when it is ready. Nothing where it runs. */
  start(): Promise<void>;
  /** SIGKILL. It is not started again until `start`. */
  kill(): Promise<void>;
  /** SIGTERM, and the time that it asks for. */
  terminate(): Promise<void>;
  freeze(): void;
  thaw(): void;
}

export interface MemberSpec {
  readonly name: string;
  readonly kind: MemberKind;
  readonly script: string;
  /** `port` is the one that it had before; 0 for any. */
  readonly command: (port: number) => {
    readonly args: readonly string[];
    readonly env: Readonly<Record<string, string>>;
  };
  /** From a line of its output to its URL when it is ready; null for any other line. */
  readonly readStart: (line: string) => string | null;
  readonly folder: string;
  readonly history: History;
}

const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export function createMember(spec: MemberSpec): Member {
  const { name, kind, history } = spec;
  const log = createWriteStream(join(spec.folder, `${name}.log`), { flags: 'a' });
  let child: ChildProcess | null = null;
  let url = '';
  /** Whether it shall run: then its end is its own doing. */
  let isWanted = false;
  let starting: Promise<void> | null = null;

  /** One try: resolves to whether it became ready. */
  async function launch(): Promise<boolean> {
    const { args, env } = spec.command(url === '' ? 0 : Number(new URL(url).port));
    const started = spawn(process.execPath, [spec.script, ...args], {
      // Nothing of this machine's settings: neither variables nor a configuration file.
      cwd: spec.folder,
      env: { NODE_COMPILE_CACHE: COMPILE_CACHE, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    running.add(started);
    child = started;
    const ready = Promise.withResolvers<boolean>();
    createInterface(started.stdout).on('line', (line) => {
      log.write(`${line}\n`);
      const said = spec.readStart(line);
      if (said === null) return;
      url = said;
      ready.resolve(true);
    });
    started.stderr.on('data', (bytes: Buffer) => void log.write(bytes));
    started.once('close', (code, signal) => {
      running.delete(started);
      if (child === started) child = null;
      ready.resolve(false);
      const event = isWanted && starting === null ? 'ended by itself' : 'ended';
      history.record({ t: 'process', name, event, code: code ?? signal });
      if (event === 'ended by itself') void start();
    });
    return ready.promise;
  }

  async function launchUntilReady(): Promise<void> {
    const deadlineMs = performance.now() + START_TIMEOUT_MS;
    for (;;) {
      if (!isWanted) return;
      if (await launch()) {
        history.record({ t: 'process', name, event: 'started', code: null });
        return;
      }
      if (performance.now() > deadlineMs) throw new Error(`${name} does not start; see its log`);
      await sleep(RESTART_MS);
    }
  }

  async function start(): Promise<void> {
    if (child !== null && starting === null) return;
    isWanted = true;
    starting ??= launchUntilReady().finally(() => (starting = null));
    return starting;
  }

  async function end(signal: NodeJS.Signals): Promise<void> {
    isWanted = false;
    const ending = child;
    if (ending === null) return;
    const closed = new Promise<void>((resolve) => ending.once('close', () => resolve()));
    ending.kill(signal);
    const late = setTimeout(() => ending.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await closed;
    clearTimeout(late);
    await starting;
  }

  return {
    name,
    kind,
    get url() {
      return url;
    },
    get pid() {
      return child?.pid ?? null;
    },
    start,
    kill: () => end('SIGKILL'),
    terminate: () => end('SIGTERM'),
    freeze: () => void child?.kill('SIGSTOP'),
    thaw: () => void child?.kill('SIGCONT'),
  };
}
