/** The small programs that containers run beside our processes: deploy/docker. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { ROOT } from './compose-file.ts';

it('makes a secret once, also when several do at the same time', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'qarr-secret-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'keys');
  expect(await Promise.all([run('make-secret', path), run('make-secret', path)])).toEqual([0, 0]);
  const secret = readFileSync(path, 'utf8');
  expect(secret).toMatch(/^[\w+/]{43}=\n$/);
  expect(await run('make-secret', path)).toBe(0);
  expect(readFileSync(path, 'utf8')).toBe(secret);
  expect(statSync(path).mode & 0o777).toBe(0o400);
  expect(readdirSync(folder)).toEqual(['keys']);
});

it('looks whether a process answers well', async () => {
  const server = createServer(({ url }, response) => {
    response.writeHead(url === '/healthz' ? 200 : 503).end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  expect(await run('healthcheck', `http://127.0.0.1:${port}/healthz`)).toBe(0);
  expect(await run('healthcheck', `http://127.0.0.1:${port}/readyz`)).toBe(1);
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
  expect(await run('healthcheck', `http://127.0.0.1:${port}/healthz`)).toBe(1);
});

/** Returns the exit code. */
async function run(script: string, argument: string): Promise<number> {
  const file = join(ROOT, 'deploy/docker', `${script}.mjs`);
  const [code] = await once(spawn(process.execPath, [file, argument]), 'exit');
  return code;
}
