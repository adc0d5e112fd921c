/** The simulator of vLLM as a process of its own, which tests kill and freeze. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import { COMPILE_CACHE } from './compile-cache.ts';

const MAIN = fileURLToPath(new URL('../../apps/vllm-sim/src/main.ts', import.meta.url));

export interface EngineProcess {
  readonly url: string;
  readonly port: number;
  /** Requests for tokens that it has got. */
  received(): Promise<number>;
  /** Requests that it is answering, or that wait for it. */
  open(): Promise<number>;
  /** Makes it fail: see `docs/simulator.md`. */
  fault(rule: object): Promise<void>;
  /** Those among the last hundred that had this field. */
  receivedWith(field: string): Promise<number>;
  kill(signal: NodeJS.Signals): void;
  /** Resolves when it has ended. */
  readonly ended: Promise<unknown>;
}

/** It is killed when the test ends. */
export async function startEngineProcess(...flags: readonly string[]): Promise<EngineProcess> {
  const child = spawn(process.execPath, [MAIN, '--port=0', ...flags], {
    env: { ...process.env, ...COMPILE_CACHE },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  const orphaned = () => void child.kill('SIGKILL');
  process.once('exit', orphaned);
  onTestFinished(async () => {
    process.off('exit', orphaned);
    // A frozen process ends by no other signal.
    child.kill('SIGKILL');
    await ended;
  });
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  const { url } = JSON.parse(line) as { url: string };
  return {
    url,
    port: Number(new URL(url).port),
    received: async () => (await stateOf(url)).received,
    async open() {
      const { recent } = await stateOf(url);
      return recent.filter(({ ended: how }) => how === null).length;
    },
    async fault(rule) {
      const response = await fetch(`${url}/_sim/faults`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(rule),
      });
      if (!response.ok) throw new Error(`No such fault: ${await response.text()}`);
    },
    async receivedWith(field) {
      const { recent } = await stateOf(url);
      return recent.filter(({ fields }) => fields.includes(field)).length;
    },
    kill: (signal) => void child.kill(signal),
    ended,
  };
}

interface State {
  readonly received: number;
  readonly recent: readonly { fields: readonly string[]; ended: string | null }[];
}

async function stateOf(url: string): Promise<State> {
  return (await (await fetch(`${url}/_sim/state`)).json()) as State;
}
