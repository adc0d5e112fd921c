import type { Server, ServerResponse } from 'node:http';

/** The responses a server has begun and not yet handed to the operating system. */
export type OpenResponses = {
  /** Resolves when none is open, at the latest after `timeoutMs`. */
  drained(timeoutMs: number): Promise<void>;
};

export function trackOpenResponses(server: Server): OpenResponses {
  const open = new Set<ServerResponse>();
  let onEmpty: (() => void) | undefined;
  server.on('request', (_request, response) => {
    open.add(response);
    response.once('close', () => {
      open.delete(response);
      if (open.size === 0) onEmpty?.();
    });
  });

  return {
    async drained(timeoutMs) {
      if (open.size === 0) return;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, timeoutMs);
        onEmpty = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    },
  };
}
