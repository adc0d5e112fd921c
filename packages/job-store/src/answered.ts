/** What a failure of Redis is to a caller. */
import { QarrError } from '@qarr/router-core';

/** However many commands it takes: somebody waits for the answer, and this is soon enough to fail. */
const ANSWER_MS = 1_000;

/**
 * A failure of Redis, whatever it was, is one thing to a caller, and so is silence: the outcome is
 * unknown. What was begun may still be done.
 */
export async function answered<T>(promise: Promise<T>): Promise<T> {
  const { promise: silence, reject } = Promise.withResolvers<never>();
  // An answer that has come while this process was busy is read first.
  const expire = () => setImmediate(reject, new QarrError('queue_unavailable'));
  const deadline = setTimeout(expire, ANSWER_MS);
  try {
    return await Promise.race([promise, silence]);
  } catch (error) {
    // A record that cannot be read is no failure of Redis.
    if (error instanceof QarrError || (error as Error).name === 'ZodError') throw error;
    throw new QarrError('queue_unavailable', { cause: error });
  } finally {
    clearTimeout(deadline);
  }
}
