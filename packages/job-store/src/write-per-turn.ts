/**
 * Commands of one event-loop turn leave in one write. Each write is a system call, which costs more
 * than most commands cost Redis; the commands of many jobs become ready in the same turn.
 *
 * They are sent as they are made, one after the other: unlike ioredis's own automatic pipelines, no
 * command waits for the answers to those before it.
 */
import type { Redis } from 'ioredis';

/** `redis` may connect anew: each of its connections is treated so. */
export function writePerTurn(redis: Redis): void {
  redis.on('ready', () => {
    const { stream } = redis;
    const write = stream.write.bind(stream) as (...args: unknown[]) => boolean;
    stream.write = (...args: unknown[]) => {
      if (stream.writableCorked === 0) {
        stream.cork();
        setImmediate(() => stream.uncork());
      }
      return write(...args);
    };
  });
}
