/**
 * Installs a peer where it is needed first, outside of the workspace: whoever does not measure peers
 * downloads none. Its version is pinned, and so is what it draws in, by a date.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const PEERS = new URL('../../../.qarr/bench/peers/', import.meta.url);
const INSTALL_MS = 180_000;

export interface Installed {
  /** Where it is, once it is installed. */
  readonly folder: string;
  /** Returns why it could not be installed, or null. */
  install(): Promise<string | null>;
}

interface Commands {
  readonly name: string;
  readonly version: string;
  /** Run in the new folder, one after another. */
  readonly commands: (folder: string) => readonly (readonly string[])[];
}

/** Nothing that a package wants to run when it is installed is run. `before` is a date. */
export function fromNpm({
  name,
  version,
  before,
}: {
  name: string;
  version: string;
  before: string;
}): Installed {
  const options = ['--ignore-scripts', '--no-audit', '--no-fund', `--before=${before}`];
  return installed({
    name,
    version,
    commands: () => [['npm', 'install', ...options, `${name}@${version}`]],
  });
}

/** Into a virtual environment of its own; `wheels` only, as a build would run what it likes. */
export function fromPyPi({
  name,
  version,
  extra,
}: {
  name: string;
  version: string;
  extra: string;
}): Installed {
  return installed({
    name,
    version,
    commands: () => [
      ['python3', '-m', 'venv', '.'],
      ['bin/pip', 'install', '--quiet', '--only-binary=:all:', `${name}[${extra}]==${version}`],
    ],
  });
}

function installed({ name, version, commands }: Commands): Installed {
  const folder = fileURLToPath(new URL(`${name.replace('/', '+')}@${version}/`, PEERS));
  const mark = `${folder}installed`;
  return {
    folder,
    async install() {
      if (existsSync(mark)) return null;
      try {
        await rm(folder, { recursive: true, force: true });
        await mkdir(folder, { recursive: true });
        await writeFile(`${folder}package.json`, '{ "private": true }\n');
        for (const [file = '', ...args] of commands(folder)) {
          // oxlint-disable-next-line no-await-in-loop -- each needs what those before have made
          await run(file, args, { cwd: folder, timeout: INSTALL_MS });
        }
        await writeFile(`${mark}.begun`, '');
        await rename(`${mark}.begun`, mark);
        return null;
      } catch (error) {
        await rm(folder, { recursive: true, force: true });
        return `could not be installed: ${firstLine(error)}`;
      }
    },
  };
}

function firstLine(error: unknown): string {
  const { stderr = '', message } = error as { stderr?: string; message: string };
  return (stderr.trim() || message).split('\n')[0] ?? '';
}
