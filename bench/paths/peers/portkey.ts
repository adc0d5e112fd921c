/**
 * The Portkey gateway, the best-known in TypeScript: no queue, nothing kept. It listens on all addresses
 * and cannot stream as it is published (`headers-that-change.mjs`): both are put right before it starts.
 */
import type { Path } from '../path.ts';
import { fromNpm } from './install.ts';
import { preload, runPeer } from './run-peer.ts';

const NAME = '@portkey-ai/gateway';
const gateway = fromNpm({ name: NAME, version: '1.15.2', before: '2026-11-01' });

export const portkey: Path = {
  name: 'portkey',
  hasRedis: false,
  prepare: () => gateway.install(),
  start: ({ upstreamUrl, signal }) =>
    runPeer({
      file: null,
      args: (port) => [
        ...preload('loopback.mjs'),
        ...preload('headers-that-change.mjs'),
        `node_modules/${NAME}/build/start-server.js`,
        '--headless',
        `--port=${port}`,
      ],
      folder: gateway.folder,
      headers: {
        authorization: 'Bearer none',
        'x-portkey-provider': 'openai',
        'x-portkey-custom-host': `${upstreamUrl}/v1`,
      },
      signal,
    }),
};
