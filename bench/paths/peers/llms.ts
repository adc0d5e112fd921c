/**
 * The server of claude-code-router: in TypeScript on Fastify and undici as QARR's API, translating
 * between providers; no queue, nothing kept.
 */
import { fileURLToPath } from 'node:url';
import type { Path } from '../path.ts';
import { fromNpm } from './install.ts';
import { preload, runPeer } from './run-peer.ts';

const server = fromNpm({ name: '@musistudio/llms', version: '1.0.53', before: '2026-11-01' });
const START = fileURLToPath(new URL('start-llms.mjs', import.meta.url));

export const llms: Path = {
  name: 'llms',
  hasRedis: false,
  prepare: () => server.install(),
  start: ({ upstreamUrl, model, signal }) =>
    runPeer({
      file: null,
      args: (port) => [
        ...preload('loopback.mjs'),
        START,
        server.folder,
        String(port),
        upstreamUrl,
        model,
      ],
      folder: server.folder,
      headers: {},
      signal,
    }),
};
