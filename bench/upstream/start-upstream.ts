/** Starts the paced engine as a process of its own. */
import { once } from 'node:events';
import { startChild, stopChild } from '../child.ts';

export interface Upstream {
  /** Without `/v1`. */
  readonly url: string;
  readonly model: string;
  readonly pid: number;
  /** 0: as fast as the sockets take it. */
  set(pace: { stepMs: number }): Promise<void>;
  stop(): Promise<void>;
}

export async function startUpstream({
  model = 'bench',
  stepMs = 20,
}: { model?: string; stepMs?: number } = {}): Promise<Upstream> {
  const { child, pid, ready } = await startChild(new URL('process.ts', import.meta.url), {
    args: [model, String(stepMs)],
  });
  const { port } = ready as { port: number };
  return {
    url: `http://127.0.0.1:${port}`,
    model,
    pid,
    async set(pace) {
      const set = once(child, 'message');
      child.send(pace);
      await set;
    },
    stop: () => stopChild(child),
  };
}
