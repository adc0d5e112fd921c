import { spawn } from 'node:child_process';
import { expect, it } from 'vitest';
import { eventLoopDelayIn } from './event-loop-delay.ts';
import { busyNsOf, cpuBetween, readCpu, readMachine, readStat } from './proc.ts';
import { commandCountsIn, countsBetween } from './redis-counts.ts';
import { callsByOwner } from './script-calls.ts';

it('adds up what all threads have used, and those that are new', () => {
  const before = { threadNs: new Map([['1', 100]]), totalNs: 0 };
  const after = {
    threadNs: new Map([
      ['1', 150],
      ['2', 7],
    ]),
    totalNs: 10_000_000,
  };
  expect(cpuBetween(before, after)).toBe(57);
});

it('takes the sum of the process where a thread has ended, which took its own along', () => {
  const before = { threadNs: new Map([['2', 50]]), totalNs: 10_000_000 };
  const after = { threadNs: new Map([['1', 60]]), totalNs: 40_000_000 };
  expect(cpuBetween(before, after)).toBe(30_000_000);
});

it('sees what this process uses, and what it has started', async () => {
  const [before, machine] = [await readCpu(process.pid), await readMachine()];
  const child = spawn(process.execPath, [
    '-e',
    'const t = Date.now(); while (Date.now() < t + 60);',
  ]);
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const untilMs = performance.now() + 30;
  while (performance.now() < untilMs);
  expect(cpuBetween(before, await readCpu(process.pid))).toBeGreaterThan(5e6);
  await ended;
  const after = await readMachine();
  expect(after.ownNs - machine.ownNs).toBeGreaterThanOrEqual(60e6);
  expect(after.busyNs).toBeGreaterThan(machine.busyNs);
});

it('reads a process whose name is meant to mislead', () => {
  const fields = ['S', '7', ...Array.from({ length: 9 }, () => '0'), '3', '4', '5', '6'];
  expect(readStat(`12 (a) S 1 (b) ${fields.join(' ')} 0`)).toEqual({
    pid: 12,
    parent: 7,
    ownNs: 70_000_000,
    endedChildrenNs: 110_000_000,
  });
});

it('does not count as busy what is idle, waits or is stolen', () => {
  expect(busyNsOf('cpu  1 2 4 1000 1000 8 16 1000 0 0\n')).toBe(31 * 10_000_000);
});

it('subtracts the beat of the timer from the delay of a loop', () => {
  const page = 'x 1\nnodejs_eventloop_lag_p99_seconds 0.0123\n';
  expect(eventLoopDelayIn(page)).toBeCloseTo(2.3);
  expect(eventLoopDelayIn('nodejs_eventloop_lag_p99_seconds{a="b"} 0.009')).toBe(0);
  expect(eventLoopDelayIn('other 1')).toBeNull();
});

it('counts the calls of commands in between', () => {
  const info =
    '# Commandstats\r\ncmdstat_publish:calls=5,usec=9\r\ncmdstat_config|get:calls=3,usec=1\r\n';
  const counts = commandCountsIn(info);
  expect(counts).toEqual({ publish: 5, 'config|get': 3 });
  expect(countsBetween(counts, commandCountsIn(info.replace('=5', '=9')))).toEqual({ publish: 4 });
});

it("tells BullMQ's scripts from others, and leaves out what the clock asks for", () => {
  const calls = new Map([
    ['theirs', 30],
    ['ours', 20],
    ['by the clock', 9],
  ]);
  const idlePerS = new Map([
    ['by the clock', 5],
    ['ours', 1],
  ]);
  const bullmq = new Set(['theirs']);
  expect(callsByOwner(calls, { bullmq, idlePerS, forMs: 2_000 })).toEqual({ own: 18, bullmq: 30 });
});
