/** From `npm start`, in sources that are set up, to the first answer that it is ready. */
import { spawn } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../../test/harness/redis-server.ts';
import type { Figures } from '../report/figures.ts';
import { WrongAnswers } from './scenario.ts';
import type { OwnScenario } from './scenario.ts';

const STARTS = 5;
const QUICK_STARTS = 1;
const LIMIT_MS = 60_000;
const LOOK_MS = 10;
/** The first start compiles what the others find compiled. */
const WARM_UPS = 1;

export const COLD_START: OwnScenario = {
  kind: 'own',
  name: 'cold-start',
  title: '`npm start` after the set-up, with its own Redis and three simulated engines',
  isQuick: false,
  async run({ root }, { gate, signal, isQuick, folder }) {
    const all: Figures[] = [];
    const starts = WARM_UPS + (isQuick ? QUICK_STARTS : STARTS);
    for (let index = 0; index < starts; index += 1) {
      await gate.untilQuiet(signal);
      all.push({ readyAfter: (await startOnce(root, { folder, signal })) / 1_000 });
    }
    return all.slice(WARM_UPS);
  },
};

/** In ms. It is stopped again. */
async function startOnce(
  root: string,
  { folder, signal }: { folder: string; signal: AbortSignal },
): Promise<number> {
  const port = await freePort();
  const beganMs = performance.now();
  const child = spawn('npm', ['start'], {
    cwd: root,
    env: {
      PATH: process.env['PATH'] ?? '',
      HOME: process.env['HOME'] ?? '',
      PORT: String(port),
      OPS_PORT: '0',
      QARR_FILES_DIR: join(folder, 'cold-start-files'),
    },
    stdio: 'ignore',
  });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  try {
    while (performance.now() - beganMs < LIMIT_MS) {
      signal.throwIfAborted();
      if (child.exitCode !== null) throw new WrongAnswers(`npm start ended with ${child.exitCode}`);
      if (await isReady(port)) return performance.now() - beganMs;
      await sleep(LOOK_MS);
    }
    throw new WrongAnswers(`npm start is not ready within ${LIMIT_MS / 1_000} s`);
  } finally {
    child.kill('SIGTERM');
    await exited;
    await rm(join(folder, 'cold-start-files'), { recursive: true, force: true });
  }
}

async function isReady(port: number): Promise<boolean> {
  try {
    const response = await fetch(`http://127.0.0.1:${port}/readyz`);
    await response.body?.cancel();
    return response.ok;
  } catch {
    // It does not listen yet.
    return false;
  }
}
