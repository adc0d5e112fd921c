import { mkdtempSync, existsSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { runCommand } from './run-command.mjs';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'qarr run '));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Runs a child that makes the file `ready` when it can be stopped. */
function run(code: string, { stopIsSuccess }: { stopIsSuccess: boolean }) {
  const listeners: ((signal: NodeJS.Signals) => void)[] = [];
  const done = runCommand({
    executable: process.execPath,
    args: ['-e', `${code}; require('node:fs').writeFileSync('ready', '')`],
    cwd: folder,
    env: {},
    stops: {
      throwIfRequested: () => {},
      onRequest(listener: (signal: NodeJS.Signals) => void) {
        listeners.push(listener);
        return () => {};
      },
      stop: () => {},
    },
    interruptsTwice: true,
    stopIsSuccess,
  });
  const ready = vi.waitFor(() => expect(existsSync(path.join(folder, 'ready'))).toBe(true), 5000);
  return {
    done,
    ready,
    send: (signal: NodeJS.Signals) => listeners.forEach((listener) => listener(signal)),
  };
}

const STAYS = 'setInterval(() => {}, 1e6)';

describe('runCommand', () => {
  test('ends with the exit code of the child', async () => {
    expect(await run('process.exitCode = 7', { stopIsSuccess: true }).done).toBe(7);
  });

  test('passes a signal on, and lets the child decide what it means', async () => {
    const child = run(`${STAYS}; process.on('SIGTERM', () => process.exit(5))`, {
      stopIsSuccess: false,
    });
    await child.ready;
    child.send('SIGTERM');
    expect(await child.done).toBe(5);
  });

  test.each([
    { stopIsSuccess: true, code: 0 },
    { stopIsSuccess: false, code: 143 },
  ])('ends with $code when the signal ended the child: $stopIsSuccess', async (expected) => {
    const child = run(STAYS, expected);
    await child.ready;
    child.send('SIGTERM');
    expect(await child.done).toBe(expected.code);
  });
});
