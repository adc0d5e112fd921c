import type { ServerResponse } from 'node:http';

/** How many answers are on their way: what /load tells. */
export type ServerLoad = {
  begin(response: ServerResponse): void;
  read(): number;
};

/** @param options.tracking `--enable-server-load-tracking`; without it the load is always 0, as vLLM's is */
export function createServerLoad(options: { tracking: boolean }): ServerLoad {
  let load = 0;
  return {
    begin(response) {
      load += 1;
      response.once('close', () => {
        load -= 1;
      });
    },
    read: () => (options.tracking ? load : 0),
  };
}
