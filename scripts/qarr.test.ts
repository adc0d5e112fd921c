import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';

const TEST_TIMEOUT_MS = 20_000;

/** As `npm run -s qarr -- ...` does. */
async function qarr(...args: string[]) {
  const file = path.join(import.meta.dirname, 'run.mjs');
  const child = spawn(process.execPath, [file, 'qarr', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  onTestFinished(() => void child.kill());
  const closed = once(child, 'close');
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  await closed;
  return { exitCode: child.exitCode, stdout, stderr };
}

test(
  'the command qarr prints what it was asked for and nothing else',
  async () => {
    expect(await qarr('--version')).toEqual({ exitCode: 0, stdout: '0.1.0\n', stderr: '' });
  },
  TEST_TIMEOUT_MS,
);

test(
  'the command qarr passes arguments and exit codes on',
  async () => {
    const stderr = 'qarr keys: --owner: say whose key it is\n';
    expect(await qarr('keys', 'create', '--rpm', '5')).toEqual({ exitCode: 2, stdout: '', stderr });
  },
  TEST_TIMEOUT_MS,
);
