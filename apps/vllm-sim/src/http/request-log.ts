/** What the simulator saw of its clients. Field names only: no prompt, no text. */
export type RequestLog = {
  received(request: { path: string; fields: readonly string[] }): void;
  abortedByClient(): void;
  read(): {
    received: number;
    abortedByClient: number;
    recent: readonly { path: string; fields: readonly string[] }[];
  };
};

/** Enough for a test to look back on, little enough to print. */
const RECENT_MAX = 100;

export function createRequestLog(): RequestLog {
  const recent: { path: string; fields: readonly string[] }[] = [];
  let received = 0;
  let abortedByClient = 0;
  return {
    received(request) {
      received += 1;
      recent.push(request);
      if (recent.length > RECENT_MAX) recent.shift();
    },
    abortedByClient() {
      abortedByClient += 1;
    },
    read: () => ({ received, abortedByClient, recent }),
  };
}
