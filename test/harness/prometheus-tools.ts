/** promtool, amtool and Alertmanager, as `npm run setup -- --with-prometheus` leaves them. */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

const ROOT = join(import.meta.dirname, '../..');
const OWN = join(ROOT, '.qarr/prometheus-tools/usr/bin');
const TIMEOUT_MS = 30_000;

export type PrometheusTool = 'promtool' | 'amtool' | 'prometheus-alertmanager';

/** Null where it is missing. */
export function findTool(tool: PrometheusTool): string | null {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((one) => one !== '');
  return [...folders, OWN].map((folder) => join(folder, tool)).find(isExecutable) ?? null;
}

/** Without the tools these tests are left out, and say so; with QARR_REQUIRE_PROMETHEUS=1 they fail. */
export const TOOLS_HINT =
  'promtool and amtool are missing: `npm run setup -- --with-prometheus` gets them';

export function runPrometheusTool(
  tool: PrometheusTool,
  args: readonly string[],
): { code: number | null; stdout: string; output: string } {
  const file = findTool(tool);
  if (file === null) throw new Error(TOOLS_HINT);
  const { status, stdout, stderr } = spawnSync(file, args, {
    cwd: ROOT,
    encoding: 'utf8',
    timeout: TIMEOUT_MS,
  });
  return { code: status, stdout, output: stdout + stderr };
}

/**
 * How to start Alertmanager. Debian's looks for its templates in one place only: where it is unpacked and
 * not installed, it is shown its own files there, in a namespace that nobody else sees. Null where it, or
 * such a namespace, cannot be had.
 */
export function alertmanagerCommand(): readonly string[] | null {
  const file = findTool('prometheus-alertmanager');
  if (file === null) return null;
  if (!file.startsWith(OWN) || existsSync('/usr/share/prometheus/alertmanager')) return [file];
  const own = ['unshare', '--map-root-user', '--mount', 'sh', '-c'];
  const script = 'mount --bind "$0" /usr/share && exec "$@"';
  const within = [...own, script, join(OWN, '../share')];
  const { status } = spawnSync(within[0] ?? '', [...within.slice(1), 'true'], {
    stdio: 'ignore',
    timeout: TIMEOUT_MS,
  });
  return status === 0 ? [...within, file] : null;
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    // Not there, or not ours to run: another one may be.
    return false;
  }
}
