/** Waiting that the caller can give up, and that leaves no timer and no listener behind. */
import { QarrClientError, abortedError } from './errors.ts';

interface Limits {
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
  /** Called when the work is waited for no more, before it has ended. */
  readonly onStop: () => void;
}

/** Throws `aborted`, `timeout`, or what the work throws; what the work does not heed is left alone. */
export async function within<T>(
  { timeoutMs, signal, onStop }: Limits,
  work: () => Promise<T>,
): Promise<T> {
  throwIfAborted(signal);
  const stopped = Promise.withResolvers<never>();
  const stop = (error: QarrClientError) => {
    stopped.reject(error);
    onStop();
  };
  const timer = setTimeout(() => stop(timeoutError(timeoutMs)), timeoutMs);
  const onAbort = () => signal && stop(abortedError(signal));
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([work(), stopped.promise]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  }
}

/** Throws `aborted` as soon as the signal says so. */
export async function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  throwIfAborted(signal);
  const over = Promise.withResolvers<void>();
  const timer = setTimeout(over.resolve, ms);
  const onAbort = () => over.resolve();
  signal?.addEventListener('abort', onAbort, { once: true });
  await over.promise;
  clearTimeout(timer);
  signal?.removeEventListener('abort', onAbort);
  throwIfAborted(signal);
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw abortedError(signal);
}

function timeoutError(timeoutMs: number): QarrClientError {
  return new QarrClientError({
    code: 'timeout',
    message: `Nothing came within ${timeoutMs} ms.`,
    retryable: true,
  });
}
