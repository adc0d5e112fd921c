/** The thinnest proxy that streams: one process, which keeps nothing and promises nothing. */
import { startChild, stopChild } from '../child.ts';
import type { Path } from './path.ts';

export const proxy: Path = {
  name: 'proxy',
  hasRedis: false,
  async start({ upstreamUrl }) {
    const module = new URL('proxy-process.ts', import.meta.url);
    const { child, pid, ready } = await startChild(module, { args: [upstreamUrl] });
    const { port } = ready as { port: number };
    return {
      urls: [`http://127.0.0.1:${port}/v1/chat/completions`],
      headers: {},
      processes: [{ role: 'gateway', pid }],
      stop: () => stopChild(child),
    };
  },
};
