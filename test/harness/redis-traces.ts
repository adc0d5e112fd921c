/** Looks for a text in all that a Redis holds: names and values, as commands and as bytes. */
import type { Redis } from 'ioredis';

/** Each key that names or holds it, with how. The server must not compress what it dumps. */
export async function tracesOf(redis: Redis, text: string): Promise<string[]> {
  await redis.config('SET', 'rdbcompression', 'no');
  const traces: string[] = [];
  let cursor = '0';
  do {
    const [next, keys] = await redis.scan(cursor, 'COUNT', 1_000);
    cursor = next;
    for (const key of keys) {
      if (key.includes(text)) traces.push(`name of ${key}`);
      if (JSON.stringify(await contentOf(redis, key)).includes(text)) traces.push(`in ${key}`);
      // Also what is marked as deleted and still there.
      const dump = await redis.dumpBuffer(key);
      if (dump?.includes(text)) traces.push(`bytes of ${key}`);
    }
  } while (cursor !== '0');
  return [...new Set(traces)].toSorted();
}

async function contentOf(redis: Redis, key: string): Promise<unknown> {
  const type = await redis.type(key);
  switch (type) {
    case 'hash':
      return redis.hgetall(key);
    case 'stream':
      return redis.xrange(key, '-', '+');
    case 'zset':
      return redis.zrange(key, '0', '-1');
    case 'set':
      return redis.smembers(key);
    case 'list':
      return redis.lrange(key, 0, -1);
    case 'string':
      return redis.get(key);
    // It has gone meanwhile.
    case 'none':
      return null;
    default:
      throw new Error(`${key} is a ${type}`);
  }
}
