/** Opens streams that say nothing, and keeps them open. */
import { Client } from 'undici';
import type { IdleOptions } from './load.ts';

/** So many are opened at a time: more would overflow the server's backlog. */
const OPENING_MAX = 100;

export interface IdleStreams {
  /** That have ended by themselves. */
  readonly lost: number;
  readonly bytes: number;
  close(): Promise<void>;
}

/** Resolves when all have got their headers. */
export async function holdIdle({
  urls,
  headers,
  streams,
  body,
}: IdleOptions): Promise<IdleStreams> {
  const clients: Client[] = [];
  let opened = 0;
  let lost = 0;
  let bytes = 0;

  function open(url: URL): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const client = new Client(url.origin, { headersTimeout: 0, bodyTimeout: 0 });
    clients.push(client);
    client.dispatch(
      {
        path: url.pathname,
        method: body === undefined ? 'GET' : 'POST',
        headers: {
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        body: body ?? null,
      },
      {
        onRequestStart() {},
        onResponseStart(_controller, status) {
          if (status === 200) resolve();
          else reject(new Error(`an idle stream was refused with ${status}`));
        },
        onResponseData(_controller, chunk) {
          bytes += chunk.length;
        },
        onResponseEnd: () => (lost += 1),
        onResponseError(_controller, error) {
          lost += 1;
          reject(error);
        },
      },
    );
    return promise;
  }

  async function openOneByOne(): Promise<void> {
    while (opened < streams) {
      const url = urls[opened % urls.length];
      if (url === undefined) throw new Error('idle streams need a URL');
      opened += 1;
      // oxlint-disable-next-line no-await-in-loop -- the next one when this is open
      await open(new URL(url));
    }
  }
  await Promise.all(Array.from({ length: OPENING_MAX }, openOneByOne));

  return {
    get lost() {
      return lost;
    },
    get bytes() {
      return bytes;
    },
    async close() {
      await Promise.all(clients.map((client) => client.destroy()));
    },
  };
}
