import type { TestWorker } from './api.ts';

/** Until the worker stops: completes each job that it is given, so that nobody waits for long. */
export async function completeAll(worker: TestWorker): Promise<void> {
  for (;;) {
    const attempt = await worker.next().catch((error: Error) => error);
    if (attempt instanceof Error) {
      if (worker.isStopped) return;
      continue;
    }
    // It may have been cancelled or deleted.
    attempt.complete().catch(() => attempt.leave());
  }
}
