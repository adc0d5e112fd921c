/** For tests: the simulator of vLLM as the process it is, which may be killed and frozen. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';

const MAIN = fileURLToPath(new URL('../../../vllm-sim/src/main.ts', import.meta.url));

export interface Simulator {
  readonly url: string;
  readonly port: number;
  kill(signal: NodeJS.Signals): void;
  readonly ended: Promise<unknown>;
}

/** It is killed when the test ends. */
export async function startSimulator(...flags: readonly string[]): Promise<Simulator> {
  const child = spawn(process.execPath, [MAIN, '--port=0', '--profile=instant', ...flags], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  onTestFinished(async () => {
    // A frozen process ends by no other signal.
    child.kill('SIGKILL');
    await ended;
  });
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  const { url } = JSON.parse(line) as { url: string };
  return {
    url,
    port: Number(new URL(url).port),
    kill: (signal) => void child.kill(signal),
    ended,
  };
}
