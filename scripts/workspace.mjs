/** The folders of the workspace, and the stamp that says which installation they need. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';

/**
 * Every folder with a package.json: the root, and what pnpm-workspace.yaml lists. Its list holds
 * plain folders and `folder/*` only, so a line-by-line reading is enough where no YAML parser is
 * installed yet.
 * @param {string} root
 */
export function workspaceFolders(root) {
  const [, list = ''] =
    /^packages:\n((?: *-.*\n)+)/m.exec(readFileSync(workspaceFile(root), 'utf8')) ?? [];
  const patterns = [...list.matchAll(/- *['"]?([^'"\n]+)/g)].map((match) =>
    (match[1] ?? '').trim(),
  );
  const folders = patterns.flatMap((pattern) => {
    if (!pattern.endsWith('/*')) return [path.join(root, pattern)];
    const parent = path.join(root, pattern.slice(0, -2));
    if (!existsSync(parent)) return [];
    return readdirSync(parent).map((name) => path.join(parent, name));
  });
  return [root, ...folders]
    .filter((folder) => existsSync(path.join(folder, 'package.json')))
    .toSorted((one, other) => one.localeCompare(other, 'en'));
}

/**
 * A hash of everything that decides what is installed: the lockfile, the workspace's settings, each
 * package.json, and the platform, because some packages are binaries.
 * @param {string} root
 */
export function installationStamp(root) {
  const manifests = workspaceFolders(root).map((folder) => path.join(folder, 'package.json'));
  const hash = createHash('sha256').update(`${process.platform} ${process.arch}\n`);
  for (const file of [path.join(root, 'pnpm-lock.yaml'), workspaceFile(root), ...manifests]) {
    hash.update(`${path.relative(root, file)}\n`).update(readFileSync(file));
  }
  return hash.digest('hex');
}

/** @param {string} root */
function workspaceFile(root) {
  return path.join(root, 'pnpm-workspace.yaml');
}
