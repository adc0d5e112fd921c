/**
 * Who may import whom. A table of what is allowed; everything else fails, with the file and the
 * import in the message.
 */
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');

interface Rule {
  /** Packages of this workspace. */
  readonly ours: readonly string[];
  /** Packages from npm; `node:` stands for all of Node's own. */
  readonly outside: readonly string[];
}

const PROCESS = ['zod', 'node:'];
const RULES: Readonly<Record<string, Rule>> = {
  'packages/router-core': { ours: [], outside: ['zod'] },
  'packages/job-store': { ours: ['@qarr/router-core'], outside: ['bullmq', 'ioredis', 'node:'] },
  'packages/file-store': {
    ours: [],
    outside: ['node:', '@aws-sdk/client-s3', '@aws-sdk/lib-storage'],
  },
  'packages/client': { ours: ['@qarr/router-core'], outside: ['eventsource-parser'] },
  'packages/process': {
    ours: ['@qarr/router-core'],
    outside: [
      ...PROCESS,
      '@opentelemetry/api',
      '@opentelemetry/exporter-trace-otlp-proto',
      '@opentelemetry/resources',
      '@opentelemetry/sdk-trace',
      'pino',
      'prom-client',
      'yaml',
    ],
  },
  'apps/api': {
    ours: ['@qarr/router-core', '@qarr/job-store', '@qarr/file-store', '@qarr/process'],
    outside: [
      ...PROCESS,
      'fastify',
      'fastify-type-provider-zod',
      '@fastify/busboy',
      '@fastify/cors',
      '@fastify/swagger',
      'ipaddr.js',
      'jose',
      'prom-client',
    ],
  },
  'apps/worker': {
    ours: ['@qarr/router-core', '@qarr/job-store', '@qarr/process'],
    outside: [...PROCESS, 'undici', 'eventsource-parser', 'prom-client'],
  },
  'apps/vllm-sim': { ours: [], outside: ['fastify', 'node:'] },
  'apps/cli': {
    ours: ['@qarr/router-core', '@qarr/client'],
    outside: ['node:', 'commander', 'csv-parse', 'log-update', 'yaml'],
  },
};

describe('the workspace', () => {
  it.each(Object.keys(RULES))('lets %s import only what it may', (folder) => {
    const problems = sourcesOf(folder).flatMap(({ path, text }) =>
      forbiddenImports({ folder, path, text }),
    );
    expect(problems).toEqual([]);
  });

  it('has a rule for every package', () => {
    const folders = globSync('{apps,packages}/*/package.json', { cwd: ROOT }).map(dirname);
    expect(folders.toSorted()).toEqual(Object.keys(RULES).toSorted());
  });

  it('declares in package.json only what a package may import', () => {
    for (const [folder, rule] of Object.entries(RULES)) {
      const { dependencies = {} } = readJson(join(folder, 'package.json'));
      const allowed = new Set([...rule.ours, ...rule.outside]);
      expect(Object.keys(dependencies).filter((name) => !allowed.has(name))).toEqual([]);
    }
  });

  it('loads the SDK of S3 only where it is asked', () => {
    const loads = /^import (?!type\b)[^;]*'@aws-sdk\//m;
    const sources = sourcesOf('packages/file-store');
    expect(sources.filter(({ text }) => text.includes(`import('@aws-sdk/`))).toHaveLength(1);
    expect(sources.filter(({ text }) => loads.test(text)).map(({ path }) => path)).toEqual([]);
  });

  it('has no cycle between packages', () => {
    const graph = new Map(
      Object.keys(RULES).map((folder) => {
        const { name, dependencies = {} } = readJson(join(folder, 'package.json'));
        return [name, Object.keys(dependencies).filter((other) => other.startsWith('@qarr/'))];
      }),
    );
    expect(findCycle(graph)).toBeNull();
  });
});

describe('the check itself', () => {
  it.each([
    ['packages/router-core', `import { readFileSync } from 'node:fs';`],
    ['packages/router-core', `import type { Redis } from 'ioredis';`],
    ['apps/api', `import { Queue } from 'bullmq';`],
    ['apps/worker', `const redis = await import('ioredis');`],
    ['apps/worker', `import Fastify from 'fastify';`],
    ['apps/vllm-sim', `import { classify } from '@qarr/router-core';`],
    ['apps/api', `export { run } from '@qarr/worker';`],
    ['apps/api', `import { keys } from '@qarr/job-store/src/keys.ts';`],
    ['apps/api', `import { engine } from '../../worker/src/engine.ts';`],
    ['packages/job-store', `import 'undici';`],
    ['packages/client', `import { setTimeout } from 'node:timers/promises';`],
    ['packages/client', `import { z } from 'zod';`],
    ['apps/cli', `import { createProducerStore } from '@qarr/job-store';`],
  ])('refuses in %s: %s', (folder, text) => {
    expect(forbiddenImports({ folder, path: join(folder, 'src/x.ts'), text })).toHaveLength(1);
  });

  it('finds a cycle', () => {
    const graph = new Map([
      ['a', ['b']],
      ['b', ['c']],
      ['c', ['a']],
    ]);
    expect(findCycle(graph)).toEqual(['a', 'b', 'c', 'a']);
  });
});

function sourcesOf(folder: string): { path: string; text: string }[] {
  return globSync('src/**/*.ts', { cwd: join(ROOT, folder) })
    .filter((name) => !name.endsWith('.test.ts') && !name.endsWith('-for-test.ts'))
    .map((name) => join(folder, name))
    .map((path) => ({ path, text: readFileSync(join(ROOT, path), 'utf8') }));
}

function forbiddenImports({
  folder,
  path,
  text,
}: {
  folder: string;
  path: string;
  text: string;
}): string[] {
  const rule = RULES[folder] ?? { ours: [], outside: [] };
  return importsOf(text)
    .filter((name) => !mayImport({ rule, folder, path, name }))
    .map((name) => `${path} imports ${name}`);
}

function importsOf(text: string): string[] {
  const pattern = /\b(?:from|import)\s*\(?\s*['"]([\w@./:-]+)['"]/g;
  return [...text.matchAll(pattern)].map(([, name = '']) => name);
}

function mayImport({
  rule,
  folder,
  path,
  name,
}: {
  rule: Rule;
  folder: string;
  path: string;
  name: string;
}): boolean {
  if (name.startsWith('.')) return !relative(folder, join(dirname(path), name)).startsWith('..');
  if (name.startsWith('node:')) return rule.outside.includes('node:');
  return [...rule.ours, ...rule.outside].includes(name);
}

function findCycle(graph: ReadonlyMap<string, readonly string[]>): string[] | null {
  function walk(name: string, path: string[]): string[] | null {
    if (path.includes(name)) return [...path.slice(path.indexOf(name)), name];
    for (const next of graph.get(name) ?? []) {
      const cycle = walk(next, [...path, name]);
      if (cycle !== null) return cycle;
    }
    return null;
  }
  for (const name of graph.keys()) {
    const cycle = walk(name, []);
    if (cycle !== null) return cycle;
  }
  return null;
}

function readJson(path: string): { name: string; dependencies?: Record<string, string> } {
  return JSON.parse(readFileSync(join(ROOT, path), 'utf8'));
}
