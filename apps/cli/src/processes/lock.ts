/**
 * One stack per folder: `.qarr/up.json` names the process that runs it and every child it has, and
 * where its own Redis is.
 *
 * The file is the lock and the record at once. It appears by a hard link, which is atomic and fails
 * where the name is taken, so nobody ever reads half of it. It outlives a process that was killed:
 * the next one sees by the start time that its owner is gone, ends the children that were left
 * behind, and takes over.
 */
import {
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { CliError, messageOf } from '../cli-error.ts';
import { endProcess, isAlive } from './end-process.ts';
import type { RecordedProcess } from './end-process.ts';
import { processMark } from './process-mark.ts';

/** Two processes that start at once may both find a stale lock; one more round settles it. */
const TAKE_ATTEMPTS_MAX = 5;
/** A killed run gave up its promises already; the next one is not to wait for long. */
const LEFTOVER_GRACE_MS = 1500;

interface LockFile extends RecordedProcess {
  readonly children: readonly RecordedProcess[];
  /** Of the Redis that it has started. */
  readonly redisUrl?: string | undefined;
}

export interface Lock {
  /** Notes a child before anything else is done with it. */
  add(child: { name: string; pid: number }): void;
  remove(pid: number): void;
  noteRedis(url: string): void;
  release(): void;
}

/** Throws a CliError when another stack runs in this folder. */
export async function acquireLock({
  folder,
  say,
}: {
  folder: string;
  say: (line: string) => void;
}): Promise<Lock> {
  const file = path.join(folder, 'up.json');
  const mark = processMark(process.pid);
  if (mark === null) throw new CliError('this process does not find itself in the process table');
  const own: LockFile = { name: 'qarr up', pid: process.pid, mark, children: [] };
  try {
    mkdirSync(folder, { recursive: true });
  } catch (error) {
    throw new CliError(`${folder} cannot be written: ${messageOf(error)}`, { cause: error });
  }
  for (let attempt = 0; attempt < TAKE_ATTEMPTS_MAX; attempt++) {
    if (create(file, own)) return heldLock(file, own);
    const holder = read(file);
    if (holder !== null && isAlive(holder)) {
      throw new CliError(
        `it runs already in this folder (process ${holder.pid}); stop it with Ctrl-C there, or: kill ${holder.pid}`,
      );
    }
    await cleanUp({ file, stale: holder, say });
  }
  throw new CliError(`${file} changes all the time; is another qarr starting?`);
}

/** Where the own Redis is of the stack that runs in this folder; null where there is none. */
export function readRedisUrl(folder: string): string | null {
  const holder = read(path.join(folder, 'up.json'));
  return holder !== null && isAlive(holder) ? (holder.redisUrl ?? null) : null;
}

function heldLock(file: string, own: LockFile): Lock {
  const children = new Map<number, RecordedProcess>();
  let redisUrl: string | undefined;
  const write = () => {
    const draft = `${file}.${process.pid}.new`;
    const content: LockFile = { ...own, redisUrl, children: [...children.values()] };
    writeFileSync(draft, JSON.stringify(content, null, 2));
    renameSync(draft, file);
  };
  return {
    add({ name, pid }) {
      const mark = processMark(pid);
      // It is gone already: there is nothing that a later run would have to end.
      if (mark === null) return;
      children.set(pid, { name, pid, mark });
      write();
    },
    remove(pid) {
      if (children.delete(pid)) write();
    },
    noteRedis(url) {
      redisUrl = url;
      write();
    },
    release() {
      if (read(file)?.mark === own.mark) rmSync(file, { force: true });
    },
  };
}

function create(file: string, own: LockFile): boolean {
  const draft = `${file}.${process.pid}.new`;
  try {
    writeFileSync(draft, JSON.stringify(own, null, 2));
    linkSync(draft, file);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw new CliError(`${file} cannot be written: ${messageOf(error)}`, { cause: error });
  } finally {
    rmSync(draft, { force: true });
  }
}

/**
 * Moves the stale lock out of the way, and looks whether it is the one that was judged: a second
 * process may have taken over in between, and then its lock is put back.
 */
async function cleanUp({
  file,
  stale,
  say,
}: {
  file: string;
  stale: LockFile | null;
  say: (line: string) => void;
}): Promise<void> {
  const left = (stale?.children ?? []).filter((child) => isAlive(child));
  if (left.length > 0) {
    say(
      `ending what a killed run left: ${left.map(({ name, pid }) => `${name} (${pid})`).join(', ')}`,
    );
  }
  const redis = left.filter((child) => child.name === 'redis');
  const others = left.filter((child) => child.name !== 'redis');
  for (const group of [others, redis]) {
    await Promise.all(group.map((child) => endProcess(child, LEFTOVER_GRACE_MS)));
  }

  const aside = `${file}.${process.pid}.stale`;
  try {
    renameSync(file, aside);
    if (read(aside)?.mark !== stale?.mark) linkSync(aside, file);
    unlinkSync(aside);
  } catch {
    // Another process was faster: the next attempt sees what it made of it.
  }
}

/** Null when there is no such file, or when it is not one of these. */
function read(file: string): LockFile | null {
  try {
    const parsed: unknown = JSON.parse(readFileSync(file, 'utf8'));
    return isLockFile(parsed) ? parsed : null;
  } catch {
    // Absent, or damaged by a full disk: either way it holds nobody's claim.
    return null;
  }
}

function isLockFile(value: unknown): value is LockFile {
  return (
    isRecordedProcess(value) &&
    (!('redisUrl' in value) || typeof value.redisUrl === 'string') &&
    'children' in value &&
    Array.isArray(value.children) &&
    value.children.every(isRecordedProcess)
  );
}

function isRecordedProcess(value: unknown): value is RecordedProcess {
  return (
    typeof value === 'object' &&
    value !== null &&
    'name' in value &&
    typeof value.name === 'string' &&
    'pid' in value &&
    Number.isSafeInteger(value.pid) &&
    'mark' in value &&
    typeof value.mark === 'string'
  );
}
