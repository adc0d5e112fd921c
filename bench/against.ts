/** The sources of another commit, set up beside these for as long as they are measured. */
import { execFile, execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

export interface OtherSources {
  readonly root: string;
  stop(): void;
}

/** Null where the repository has no such commit. */
export async function commitOf(root: string, revision: string): Promise<string | null> {
  try {
    const { stdout } = await git(root, 'rev-parse', '--verify', '--short', `${revision}^{commit}`);
    return stdout.trim();
  } catch {
    // Its reason is for people who use git.
    return null;
  }
}

export async function setUpSources(root: string, commit: string): Promise<OtherSources> {
  const folder = await mkdtemp(join(tmpdir(), 'qarr-bench-against-'));
  const other = join(folder, 'sources');
  // In one piece, so that it is done even where the process is told to end.
  function stop(): void {
    process.off('exit', stop);
    rmSync(folder, { recursive: true, force: true });
    execFileSync('git', ['-C', root, 'worktree', 'prune']);
  }
  process.once('exit', stop);
  try {
    await git(root, 'worktree', 'add', '--detach', other, commit);
    await promisify(execFile)('npm', ['run', 'setup'], { cwd: other });
    return { root: other, stop };
  } catch (error) {
    stop();
    throw error;
  }
}

function git(root: string, ...args: string[]) {
  return promisify(execFile)('git', ['-C', root, ...args]);
}
