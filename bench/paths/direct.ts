/** From the client straight to the engine: what nothing can be faster than. */
import type { Path } from './path.ts';

export const direct: Path = {
  name: 'direct',
  hasRedis: false,
  start: ({ upstreamUrl }) =>
    Promise.resolve({
      urls: [`${upstreamUrl}/v1/chat/completions`],
      headers: {},
      processes: [],
      stop: () => Promise.resolve(),
    }),
};
