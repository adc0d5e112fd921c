/** What is published, as its users get it. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { rolldown } from 'rolldown';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { buildClient } from '../build.ts';

// It runs a compiler and npm.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const ROOT = path.join(import.meta.dirname, '../../..');

/** A project of somebody else, with the package and what it depends on, and nothing more. */
let project: string;
let folder: string;
beforeAll(async () => {
  project = mkdtempSync(path.join(tmpdir(), 'qarr-client-'));
  folder = path.join(project, 'node_modules/@qarr/client');
  await buildClient(folder);
  const parser = path.join(ROOT, 'packages/client/node_modules/eventsource-parser');
  const copied = path.join(project, 'node_modules/eventsource-parser');
  mkdirSync(copied);
  cpSync(parser, copied, { recursive: true, dereference: true });
  writeFileSync(path.join(project, 'package.json'), '{ "type": "module" }');
});
afterAll(() => rmSync(project, { recursive: true }));

test('has nothing that publint minds', async () => {
  const { messages, pkg } = await publint({ pkgDir: folder, pack: 'npm', strict: true });
  expect(messages.map((message) => formatMessage(message, pkg))).toEqual([]);
});

test('holds the module, its types, and what npm needs', () => {
  const listed = execFileSync('npm', ['pack', '--dry-run', '--json'], {
    cwd: folder,
    encoding: 'utf8',
  });
  const [{ files }] = JSON.parse(listed) as [{ files: { path: string }[] }];
  const names = files.map((file) => file.path);
  expect(names.toSorted()).toEqual([
    'README.md',
    'answers.d.ts',
    'batch-answers.d.ts',
    'batch-calls.d.ts',
    'client.d.ts',
    'errors.d.ts',
    'events.d.ts',
    'index.d.ts',
    'index.js',
    'options.d.ts',
    'package.json',
    'requests.d.ts',
  ]);
});

test('needs the parser of event streams, and nothing else', () => {
  const { dependencies, private: isPrivate } = JSON.parse(read('package.json'));
  expect(dependencies).toEqual({ 'eventsource-parser': expect.stringMatching(/^\d/) });
  expect(isPrivate).toBeUndefined();
  const imported = (name: string) =>
    [...read(name).matchAll(/(?:from|import\() ?["']([^."'][^"']*)/g)].map(([, from]) => from);
  expect(imported('index.js')).toEqual(['eventsource-parser']);
  expect(imported('client.d.ts')).toEqual([]);
  expect(read('index.js')).not.toMatch(/\bzod\b|\bprocess\.|\bBuffer\b/);
});

test('runs by itself', () => {
  const program = `
    import { createClient, QarrClientError } from '@qarr/client';
    const client = createClient({ baseUrl: 'http://127.0.0.1:1', maxRetries: 0 });
    const error = await client.tiers().catch((problem) => problem);
    console.log(error instanceof QarrClientError, error.code);`;
  const output = execFileSync(process.execPath, ['--input-type=module', '--eval', program], {
    cwd: project,
    encoding: 'utf8',
  });
  expect(output).toBe('true network_error\n');
});

test('has types that need those of the platform, and no others', () => {
  writeFileSync(
    path.join(project, 'user.ts'),
    `import { createClient, isTerminal } from '@qarr/client';
    import type { StreamEvent } from '@qarr/client';
    const client = createClient({ baseUrl: 'http://127.0.0.1:8080', fallback: 'queue' });
    export async function textOf(prompt: string): Promise<string> {
      const job = await client.submit({ prompt, max_tokens: 5 });
      let text = '';
      for await (const event of client.stream(job)) {
        if (event.type === 'delta') text += event.text;
        if (isTerminal(event)) return event.type === 'failed' ? event.error.code : text;
      }
      const last: StreamEvent | undefined = undefined;
      // @ts-expect-error
      await client.submit({ promt: prompt });
      return String(last);
    }`,
  );
  const flags = ['--noEmit', '--strict', '--module', 'nodenext', '--lib', 'es2024,dom'];
  execFileSync(path.join(ROOT, 'node_modules/.bin/tsc'), [...flags, '--types', '', 'user.ts'], {
    cwd: project,
    encoding: 'utf8',
  });
});

test('leaves nothing behind of what is not used', async () => {
  const used = await bundled(`export { QarrClientError } from '@qarr/client';`);
  expect(used).toContain('QarrClientError = class extends Error');
  expect(used).not.toMatch(/import|function|breaker_open|\bSet\(/);
  expect(await bundled(`import '@qarr/client';`)).not.toMatch(/class|function|const/);
});

async function bundled(source: string): Promise<string> {
  const input = path.join(project, 'entry.js');
  writeFileSync(input, source);
  const bundle = await rolldown({ input, cwd: project });
  const { output } = await bundle.generate({ format: 'esm' });
  await bundle.close();
  return output.map((chunk) => ('code' in chunk ? chunk.code : '')).join('');
}

function read(name: string): string {
  return readFileSync(path.join(folder, name), 'utf8');
}
