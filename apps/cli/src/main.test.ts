import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { freePort } from './processes/ports.ts';

const TEST_TIMEOUT_MS = 20_000;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'qarr up '));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Runs the command in an empty folder to its end. */
async function qarr(args: string[], env: NodeJS.ProcessEnv = {}) {
  const command = path.join(import.meta.dirname, 'main.ts');
  const child = spawn(process.execPath, [command, ...args], {
    cwd: folder,
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  await once(child, 'close');
  return { exitCode: child.exitCode, stdout, stderr };
}

describe('the qarr command', { timeout: TEST_TIMEOUT_MS }, () => {
  test('tells its version and its commands', async () => {
    expect(await qarr(['--version'])).toMatchObject({ exitCode: 0, stdout: '0.1.0\n' });
    const help = await qarr(['--help']);
    expect(help.exitCode).toBe(0);
    expect(help.stdout).toContain('up [options]');
  });

  test.each([
    [['serve'], "qarr: unknown command 'serve'\n"],
    [['up', '--fast'], "qarr: unknown option '--fast'\n"],
    [['submit'], "qarr: missing required argument 'prompt'\n"],
    [
      ['submit', 'x', '--max-tokens', 'y'],
      "qarr: option '--max-tokens <number>' argument 'y' is invalid. It must be a whole number.\n",
    ],
    [
      ['tiers', '--url', 'ftp://x'],
      'qarr: --url must be a URL that begins with http://… or https://…\n',
    ],
  ])('refuses %j in one line', async (args, stderr) => {
    expect(await qarr(args)).toEqual({ exitCode: 2, stdout: '', stderr });
  });

  test('hands the arguments of keys to the tool of the API, with its words and its exit code', async () => {
    const [help, bad] = await Promise.all([
      qarr(['keys', '--help']),
      qarr(['keys', 'create', '--rpm', '5']),
    ]);
    expect(help).toMatchObject({ exitCode: 0, stderr: '' });
    expect(help.stdout).toContain('create --owner NAME');
    const stderr = 'qarr keys: --owner: say whose key it is\n';
    expect(bad).toEqual({ exitCode: 2, stdout: '', stderr });
  });

  test('shows the tiers once where the output is no terminal', async () => {
    const tier = { name: 'fast', depth: 2, running: 1, slots: 8, workers: [] };
    const api = createServer((socket) => {
      socket.end(
        `HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n${JSON.stringify({ tiers: [tier] })}`,
      );
    }).listen(0, '127.0.0.1');
    await once(api, 'listening');
    const PORT = String((api.address() as AddressInfo).port);
    const shown = await qarr(['tiers'], { PORT });
    expect(shown).toMatchObject({ exitCode: 0, stderr: '' });
    expect(shown.stdout).toMatch(/^TIER .*\nfast +2 .* 1\/8 .*none\n$/);
    const asJson = await qarr(['tiers', '--json', '--url', `http://127.0.0.1:${PORT}/`]);
    expect(JSON.parse(asJson.stdout)).toEqual({ tiers: [tier] });
    api.close();
    expect(await qarr(['tiers'], { PORT })).toEqual({
      exitCode: 1,
      stdout: '',
      stderr: `qarr: no answer from http://127.0.0.1:${PORT} (nobody listens there); start the API (npm start), or name another one with --url\n`,
    });
  });

  test('refuses a bad variable in one line, before anything is started', async () => {
    expect(await qarr(['up'], { QARR_WORKERS_FAST: 'many' })).toEqual({
      exitCode: 2,
      stdout: '',
      stderr: 'qarr: QARR_WORKERS_FAST must be a whole number from 1 to 16 (it is "many")\n',
    });
    expect(existsSync(path.join(folder, '.qarr'))).toBe(false);
  });

  test('says which variable to set when a port is taken, and leaves no lock', async () => {
    const port = await freePort('127.0.0.1');
    const server = createServer().listen(port, '127.0.0.1');
    await once(server, 'listening');
    const result = await qarr(['up'], { PORT: String(port), OPS_PORT: '0' });
    server.close();
    expect(result.exitCode).toBe(1);
    expect(result.stderr).toBe(
      `qarr: port ${port} is taken; set PORT to another one, or stop what listens there\n`,
    );
    expect(existsSync(path.join(folder, '.qarr', 'up.json'))).toBe(false);
  });

  test('says that a given Redis does not answer, without its password', async () => {
    const port = await freePort('127.0.0.1');
    const env = { PORT: '0', OPS_PORT: '0', REDIS_URL: `redis://:secret@127.0.0.1:${port}` };
    const { exitCode, stderr } = await qarr(['up'], env);
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/^qarr: Redis at 127\.0\.0\.1:\d+ does not answer; .*\n$/);
    expect(stderr).not.toContain('secret');
  });
});
