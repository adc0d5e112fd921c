/** The load's HTTP requests, by the cheapest way that undici has. */
import type { Dispatcher } from 'undici';

export interface Sent {
  readonly path: string;
  readonly method: 'GET' | 'POST';
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
}

interface Receiver {
  /** It has a connection and leaves now. */
  onWritten?(): void;
  onData(bytes: Buffer): void;
}

/** What became of it: null, or why there is no whole response. */
type Received = { readonly why: string; readonly detail: string } | null;

const DETAIL_CHARS_MAX = 300;
const WATCH_EVERY_MS = 1_000;

export interface Sender {
  send(dispatcher: Dispatcher, sent: Sent, receiver: Receiver): Promise<Received>;
  stop(): void;
}

/** `timeoutMs` is looked at once a second, for all requests: a timer for each would cost. */
export function createSender(timeoutMs: number): Sender {
  const open = new Map<Dispatcher.DispatchController, number>();
  const timedOut = new WeakSet<Dispatcher.DispatchController>();
  const watch = setInterval(() => {
    const before = performance.now() - timeoutMs;
    for (const [controller, begunMs] of open) {
      // They stand in the order of their begin.
      if (begunMs > before) return;
      timedOut.add(controller);
      controller.abort(new Error('timeout'));
    }
  }, WATCH_EVERY_MS);

  return {
    send(dispatcher, { path, method, headers, body }, receiver) {
      const { promise, resolve } = Promise.withResolvers<Received>();
      let status = 0;
      let refusal = '';
      dispatcher.dispatch(
        { path, method, headers, body },
        {
          onRequestStart(controller) {
            open.set(controller, performance.now());
            receiver.onWritten?.();
          },
          onResponseStart(_controller, statusCode) {
            status = statusCode;
          },
          onResponseData(_controller, chunk) {
            if (status >= 200 && status < 300) receiver.onData(chunk);
            else if (refusal.length < DETAIL_CHARS_MAX) refusal += chunk.toString('latin1');
          },
          onResponseEnd(controller) {
            open.delete(controller);
            const isRefused = status < 200 || status >= 300;
            resolve(isRefused ? { why: `status ${status}`, detail: refusal } : null);
          },
          onResponseError(controller, error) {
            open.delete(controller);
            const why = timedOut.has(controller) ? 'timeout' : 'connection';
            resolve({ why, detail: error.message });
          },
        },
      );
      return promise;
    },
    stop: () => clearInterval(watch),
  };
}
