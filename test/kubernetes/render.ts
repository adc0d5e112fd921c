/** The overlays as kustomize renders them, with the example in place of the secrets. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, cpSync, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { FOLDER, YAML, readObjects } from './objects.ts';
import type { Overlay } from './objects.ts';

const TOOLS = [
  ['kustomize', 'build'],
  ['kubectl', 'kustomize'],
] as const;

/** The command that renders, or null where there is none. */
export function renderer(): readonly [string, string] | null {
  return TOOLS.find(([command, action]) => runs(command, action)) ?? null;
}

function runs(command: string, action: string): boolean {
  try {
    execFileSync(command, [action, '--help'], { stdio: 'ignore', timeout: 10_000 });
    return true;
  } catch {
    // It is not installed.
    return false;
  }
}

/** Without what differs between versions of the tool: order of keys, indentation. */
export function render(overlay: Overlay, [command, action]: readonly [string, string]): string {
  const folder = mkdtempSync(join(tmpdir(), 'qarr-kubernetes-'));
  try {
    cpSync(FOLDER, folder, { recursive: true });
    const own = join(folder, 'overlays', overlay);
    copyFileSync(join(own, 'secrets.env.example'), join(own, 'secrets.env'));
    const text = execFileSync(command, [action, own], { encoding: 'utf8', timeout: 30_000 });
    const documents = readObjects(text).map((object) =>
      stringify(object, { ...YAML, sortMapEntries: true, lineWidth: 0 }),
    );
    return documents.join('---\n');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Of all that is rendered: whether it has changed since is seen without the tool, too. */
export function digestOfSources(): string {
  const files = globSync('{base,worker,components,overlays}/**/*.{yaml,json,env.example}', {
    cwd: FOLDER,
  });
  const hash = createHash('sha256');
  for (const file of files.toSorted()) {
    hash.update(`${file}\n`).update(readFileSync(join(FOLDER, file)));
  }
  return `${hash.digest('hex')}\n`;
}
