import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { processMark } from './process-mark.ts';
import type { ProcessSpec, SupervisedProcess } from './supervised-process.ts';
import { createSupervisor } from './supervisor.ts';

const STAYS = 'console.log("ready"); setInterval(() => {}, 1e6);';

let folder: string;
let running: SupervisedProcess[];
let lines: string[];
let recorded: Set<number>;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'qarr supervisor '));
  running = [];
  lines = [];
  recorded = new Set();
});
afterEach(async () => {
  await Promise.all(running.map((supervised) => supervised.stop(0)));
  if (recorded.size > 0) throw new Error('a child is still recorded');
  rmSync(folder, { recursive: true });
});

function supervise() {
  const supervisor = createSupervisor({
    lock: { add: ({ pid }) => recorded.add(pid), remove: (pid) => recorded.delete(pid) },
    logFolder: folder,
    say: (line) => lines.push(line),
    restartDelayMs: 10,
  });
  const start = (code: string, more: Partial<ProcessSpec> = {}) => {
    const supervised = supervisor.start({
      name: 'worker-fast',
      command: process.execPath,
      args: () => ['-e', code],
      cwd: folder,
      env: {},
      whenItEnds: 'restart',
      ...more,
    });
    running.push(supervised);
    return supervised;
  };
  return { supervisor, start };
}

async function livingPid(supervised: SupervisedProcess): Promise<number> {
  await vi.waitFor(() => expect(supervised.output()).toContain('ready'), { timeout: 5000 });
  const pid = supervised.pid();
  if (pid === undefined) throw new Error('it does not run');
  return pid;
}

describe('the supervisor', () => {
  test('notes a child, keeps what it writes, and ends it', async () => {
    const { start } = supervise();
    const child = start(STAYS);
    const pid = await livingPid(child);
    expect(recorded).toEqual(new Set([pid]));
    expect(readFileSync(child.logFile, 'utf8')).toBe('ready\n');
    await child.stop(5000);
    expect(processMark(pid)).toBeNull();
    expect(lines).toEqual([]);
  });

  test('kills a child that ignores SIGTERM, with what it started', async () => {
    const { start } = supervise();
    const child = start(`
      process.on('SIGTERM', () => {});
      const idle = ['-e', 'setInterval(() => {}, 1e6)'];
      const { pid } = require('node:child_process').spawn(process.execPath, idle);
      console.log(pid);
      ${STAYS}`);
    const pid = await livingPid(child);
    const grandchild = Number.parseInt(child.output(), 10);
    await child.stop(50);
    expect(processMark(pid)).toBeNull();
    await vi.waitFor(() => expect(processMark(grandchild)).toBeNull());
  });

  test('fails in one line when a child ends before all serves', async () => {
    const { supervisor, start } = supervise();
    const child = start('console.error("qarr-worker: REDIS_URL is wrong"); process.exit(2)');
    await vi.waitFor(() => expect(supervisor.failed.aborted).toBe(true), { timeout: 5000 });
    expect(String(supervisor.failed.reason)).toBe(
      `CliError: worker-fast ended (exit code 2): qarr-worker: REDIS_URL is wrong; its log is ${child.logFile}`,
    );
  });

  test('says which command is missing', async () => {
    const { supervisor, start } = supervise();
    start('', { name: 'redis', command: 'no-such-server', whenItEnds: 'fail' });
    await vi.waitFor(() => expect(supervisor.failed.aborted).toBe(true));
    expect(String(supervisor.failed.reason)).toContain('no-such-server is not on the PATH');
  });

  test('starts a child again that ends while all serves', async () => {
    const { supervisor, start } = supervise();
    const child = start(STAYS);
    const pid = await livingPid(child);
    supervisor.serving();
    process.kill(pid, 'SIGKILL');
    await vi.waitFor(() => expect(child.pid()).not.toBe(pid));
    const next = await livingPid(child);
    expect(next).not.toBe(pid);
    expect(lines).toEqual(['worker-fast ended (signal SIGKILL); it starts again in 0.01 s']);
    expect(readFileSync(child.logFile, 'utf8')).toBe('ready\nready\n');
    expect(supervisor.failed.aborted).toBe(false);
  });

  test('waits longer each time, and stops while it waits', async () => {
    const { supervisor, start } = supervise();
    const child = start('setTimeout(() => {}, 50)');
    supervisor.serving();
    await vi.waitFor(() => expect(lines.length).toBeGreaterThanOrEqual(3), { timeout: 5000 });
    await child.stop(1000);
    expect(lines.slice(0, 3).map((line) => line.slice(line.lastIndexOf(' in ') + 1))).toEqual([
      'in 0.01 s',
      'in 0.02 s',
      'in 0.04 s',
    ]);
  });

  test('fails when a child ends that all others need', async () => {
    const { supervisor, start } = supervise();
    const child = start(STAYS, { name: 'api', whenItEnds: 'fail' });
    const pid = await livingPid(child);
    supervisor.serving();
    process.kill(pid, 'SIGKILL');
    await vi.waitFor(() => expect(supervisor.failed.aborted).toBe(true));
    expect(String(supervisor.failed.reason)).toContain('api ended (signal SIGKILL)');
  });

  test('ends everything at once when it must', async () => {
    const { supervisor, start } = supervise();
    const child = start(`process.on('SIGTERM', () => {}); ${STAYS}`);
    const pid = await livingPid(child);
    const stopped = child.stop(60_000);
    supervisor.killAll();
    await stopped;
    expect(processMark(pid)).toBeNull();
  });
});
