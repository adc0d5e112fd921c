/**
 * Tells whether a pid still is the process that it was: pids are used again, start times are not.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

const PS_TIMEOUT_MS = 3000;
/** In /proc/<pid>/stat, counted after the command: the state, and the start in clock ticks. */
const STATE_FIELD = 0;
const START_FIELD = 19;

/**
 * The boot and the start time of a living process; null when there is none with this pid. A zombie
 * counts as gone: it runs nothing and holds nothing.
 */
export function processMark(pid: number): string | null {
  return process.platform === 'linux' ? markFromProc(pid) : markFromPs(pid);
}

function markFromProc(pid: number): string | null {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    // No such process.
    return null;
  }
  // The command may itself hold spaces and parentheses; the last one closes it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const state = fields[STATE_FIELD];
  if (state === 'Z' || state === 'X') return null;
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  return `${boot} ${fields[START_FIELD]}`;
}

function markFromPs(pid: number): string | null {
  const { stdout } = spawnSync('ps', ['-o', 'stat=', '-o', 'lstart=', '-p', String(pid)], {
    encoding: 'utf8',
    timeout: PS_TIMEOUT_MS,
    env: { PATH: '/bin:/usr/bin', LC_ALL: 'C' },
  });
  const [state = '', ...start] = (stdout ?? '').trim().split(/\s+/);
  return state === '' || state.startsWith('Z') ? null : start.join(' ');
}
