/** The load generator, as the experiment holds it. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FeedCounts } from './batch-feed.ts';
import type { Command, Report } from './messages.ts';
import type { LoadMix } from './mix.ts';
import { nowMs } from './outcome.ts';
import type { Outcome } from './outcome.ts';

const LOOK_EVERY_MS = 100;

export interface Generator {
  readonly pid: number;
  /** Of all requests that have ended, in the order in which they did. */
  readonly outcomes: readonly Outcome[];
  /** Answers that cost nothing, beside the load. */
  readonly controls: readonly { readonly atMs: number; readonly tookMs: number }[];
  readonly lateness: readonly { readonly atMs: number; readonly lateMs: number }[];
  readonly feed: FeedCounts | null;
  /** When lines of batches were done. */
  readonly linesDoneMs: readonly number[];
  tell(command: Exclude<Command, { kind: 'begin' | 'end' }>): void;
  /** Whether nothing is open any more, within so long. */
  untilNothingIsOpen(options: { timeoutMs: number }): Promise<boolean>;
  /** What is open is given up. All outcomes are there when it resolves. */
  stop(): Promise<void>;
}

export async function startGenerator(begin: {
  apis: readonly string[];
  mix: LoadMix;
  seed: string;
}): Promise<Generator> {
  const child = fork(join(import.meta.dirname, 'process.ts'), { serialization: 'advanced' });
  const outcomes: Outcome[] = [];
  const controls: { atMs: number; tookMs: number }[] = [];
  const lateness: { atMs: number; lateMs: number }[] = [];
  const linesDoneMs: number[] = [];
  const last: { open: number; reports: number; feed: FeedCounts | null } = {
    open: 0,
    reports: 0,
    feed: null,
  };
  const orphaned = () => void child.kill('SIGKILL');
  process.once('exit', orphaned);
  const ended = once(child, 'exit');

  child.on('message', (message) => {
    const report = message as Report;
    if (report.kind !== 'progress') return;
    const atMs = nowMs();
    last.reports += 1;
    outcomes.push(...report.outcomes);
    controls.push(...report.controlsMs.map((tookMs) => ({ atMs, tookMs })));
    linesDoneMs.push(...report.linesDoneMs);
    lateness.push({ atMs, lateMs: report.lateMsMax });
    last.open = report.open;
    last.feed = report.feed;
  });
  await once(child, 'message');
  const say = (command: Command) => void child.send(command);
  let stopping: Promise<void> | null = null;

  async function stop(): Promise<void> {
    say({ kind: 'end' });
    await ended;
    process.off('exit', orphaned);
  }
  say({ kind: 'begin', ...begin });

  return {
    pid: child.pid ?? 0,
    outcomes,
    controls,
    lateness,
    linesDoneMs,
    get feed() {
      return last.feed;
    },
    tell: say,
    async untilNothingIsOpen({ timeoutMs }) {
      const deadlineMs = nowMs() + timeoutMs;
      // What it has said before was before the load stopped.
      const since = last.reports;
      while (last.open > 0 || last.reports < since + 2) {
        if (nowMs() > deadlineMs) return false;
        await sleep(LOOK_EVERY_MS);
      }
      return true;
    },
    stop: () => (stopping ??= stop()),
  };
}
