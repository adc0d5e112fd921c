/**
 * Builds the folder that is published: one module, its types, a manifest of its own.
 *
 *   node packages/client/build.ts && npm publish packages/client/dist
 *
 * The workspace uses the sources; what its package.json says of development is no matter of users.
 */
import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';
import { isolatedDeclarationSync } from 'rolldown/experimental';

const ROOT = import.meta.dirname;
const SOURCES = path.join(ROOT, 'src');

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildClient();

/** Replaces the folder. */
export async function buildClient(folder: string = path.join(ROOT, 'dist')): Promise<void> {
  const manifest = await readManifest();
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  await writeModule(folder, Object.keys(manifest.dependencies));
  await writeTypes(folder);
  await writeFile(path.join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  await copyFile(path.join(ROOT, 'README.md'), path.join(folder, 'README.md'));
}

/** Of the workspace only its pure parts are taken in; what comes from npm is left outside. */
async function writeModule(folder: string, external: string[]): Promise<void> {
  const bundle = await rolldown({
    input: path.join(SOURCES, 'index.ts'),
    external,
    platform: 'neutral',
    onLog(_level, log) {
      throw new Error(log.message);
    },
  });
  await bundle.write({ dir: folder, format: 'esm', entryFileNames: 'index.js' });
  await bundle.close();
}

/** Each file's, from the index on as far as they refer to each other. */
async function writeTypes(folder: string): Promise<void> {
  const names = new Set(['index.ts']);
  for (const name of names) {
    const source = await readFile(path.join(SOURCES, name), 'utf8');
    const { code, errors } = isolatedDeclarationSync(name, source);
    if (errors.length > 0) throw new Error(`${name}: ${errors[0]?.message}`);
    const types = code.replaceAll(/(from ["']\.\/)([\w-]+)\.ts(["'])/g, (_whole, ...parts) => {
      const [before, other, after] = parts as [string, string, string];
      names.add(`${other}.ts`);
      return `${before}${other}.js${after}`;
    });
    await writeFile(path.join(folder, name.replace(/\.ts$/, '.d.ts')), types);
  }
}

async function readManifest() {
  const { name, version, description, type, sideEffects, dependencies } = JSON.parse(
    await readFile(path.join(ROOT, 'package.json'), 'utf8'),
  ) as Record<string, unknown> & { dependencies: Record<string, string> };
  return {
    name,
    version,
    description,
    type,
    sideEffects,
    exports: { '.': { types: './index.d.ts', default: './index.js' } },
    files: ['*.js', '*.d.ts'],
    dependencies,
    // What it uses of the platform is in every browser since 2024.
    engines: { node: '>=22' },
  };
}
