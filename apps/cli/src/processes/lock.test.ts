import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { acquireLock, readRedisUrl } from './lock.ts';
import { processMark } from './process-mark.ts';

let folder: string;
let file: string;
const started: ChildProcess[] = [];

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'qarr-lock-'));
  file = path.join(folder, 'up.json');
});
afterEach(async () => {
  for (const child of started.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  rmSync(folder, { recursive: true });
});

/** A process that does nothing until it is ended. */
async function startIdle(): Promise<{ child: ChildProcess; pid: number }> {
  const child = spawn(process.execPath, ['-e', 'console.log(1); setInterval(() => {}, 1e6)'], {
    stdio: ['ignore', 'pipe', 'ignore'],
    detached: true,
  });
  started.push(child);
  await once(child.stdout, 'data');
  if (child.pid === undefined) throw new Error('it did not start');
  return { child, pid: child.pid };
}

function record({ name, pid }: { name: string; pid: number }) {
  return { name, pid, mark: processMark(pid) };
}

function acquire(lines: string[] = []) {
  return acquireLock({ folder, say: (line) => lines.push(line) });
}

describe('the lock', () => {
  test('keeps a second stack out, and says which process has it', async () => {
    const lock = await acquire();
    await expect(acquire()).rejects.toThrow(
      `it runs already in this folder (process ${process.pid})`,
    );
    lock.release();
    lock.release();
    expect(existsSync(file)).toBe(false);
    (await acquire()).release();
  });

  test('says where the own Redis is, as long as its stack runs', async () => {
    expect(readRedisUrl(folder)).toBeNull();
    const lock = await acquire();
    expect(readRedisUrl(folder)).toBeNull();
    lock.noteRedis('redis://127.0.0.1:1234');
    expect(readRedisUrl(folder)).toBe('redis://127.0.0.1:1234');
    const { pid } = await startIdle();
    lock.add({ name: 'worker', pid });
    expect(readRedisUrl(folder)).toBe('redis://127.0.0.1:1234');
    writeFileSync(file, readFileSync(file, 'utf8').replace(/"mark": "/, '"mark": "not '));
    expect(readRedisUrl(folder)).toBeNull();
  });

  test('names each living child', async () => {
    const { pid } = await startIdle();
    const lock = await acquire();
    lock.add({ name: 'worker-fast', pid });
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({
      pid: process.pid,
      children: [record({ name: 'worker-fast', pid })],
    });
    lock.remove(pid);
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ children: [] });
    lock.release();
  });

  test('is taken over from a process that is gone, after its children are ended', async () => {
    const owner = await startIdle();
    const left = await startIdle();
    const stale = record({ name: 'qarr up', pid: owner.pid });
    writeFileSync(
      file,
      JSON.stringify({ ...stale, children: [record({ name: 'worker-fast', pid: left.pid })] }),
    );
    owner.child.kill('SIGKILL');
    await once(owner.child, 'exit');

    const gone = once(left.child, 'exit');
    const lines: string[] = [];
    const lock = await acquire(lines);
    await gone;
    expect(lines).toEqual([`ending what a killed run left: worker-fast (${left.pid})`]);
    lock.release();
  });

  test('leaves a process alone that only has the pid of a recorded one', async () => {
    const other = await startIdle();
    const reused = { name: 'worker-fast', pid: other.pid, mark: 'of an earlier process' };
    writeFileSync(file, JSON.stringify({ ...reused, children: [reused] }));
    (await acquire()).release();
    expect(processMark(other.pid)).not.toBeNull();
  });

  test('is taken over from a damaged file', async () => {
    writeFileSync(file, '{"pid":');
    const lock = await acquire();
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ pid: process.pid });
    lock.release();
  });

  test('is had by one of several that find it stale at once', async () => {
    writeFileSync(file, '{"pid":');
    const results = await Promise.allSettled([acquire(), acquire(), acquire()]);
    const locks = results.filter((result) => result.status === 'fulfilled');
    expect(locks).toHaveLength(1);
    locks[0]?.value.release();
  });

  test('says in one line when the folder cannot be written', async () => {
    writeFileSync(path.join(folder, 'file'), '');
    const inside = acquireLock({ folder: path.join(folder, 'file', '.qarr'), say: () => {} });
    await expect(inside).rejects.toThrow(/cannot be written/);
  });
});
