import { createServer } from 'node:http';
import { expect, it } from 'vitest';
import { createConnections } from './connections.ts';

it('takes as many connections as files may be open, without asking for the names of its peers', () => {
  Object.assign(process.report, { excludeNetwork: false });
  const server = createServer();
  createConnections({
    limits: { connectionsMax: 7, requestTimeoutMs: 1_000 },
    drain: { enter: () => () => {} },
    onDropped: () => {},
  }).watch(server);
  expect(server.maxConnections).toBe(7);
  // Names are asked for while nothing else goes on.
  expect(process.report).toHaveProperty('excludeNetwork', true);
});
