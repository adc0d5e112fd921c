/**
 * Which scripts a Redis is asked to run: by `MONITOR`, which costs it so much that nothing is timed meanwhile.
 * Those of BullMQ are known by their digests; all others are of the path that is measured.
 */
import { createRequire } from 'node:module';
import { connect } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Queue as QueueType } from 'bullmq';
import { Redis } from 'ioredis';

/** `+1795934004.321759 [0 127.0.0.1:47474] "evalsha" "1dbc…" "2" …`, in capitals or not. */
const CALL = /^\+[\d.]+ \[[^\]]+\] "evalsha" "([0-9a-f]{40})"/i;

/** Calls by the digest of the script. */
export type ScriptCalls = ReadonlyMap<string, number>;

export interface ScriptWatch {
  /** What was called so far. */
  readonly calls: ScriptCalls;
  stop(): void;
}

/**
 * Reads what `MONITOR` tells line by line. ioredis can do that, too, but takes the lines that come with its
 * first answer for answers to other commands.
 */
export async function watchScripts(redisUrl: string): Promise<ScriptWatch> {
  const { hostname, port } = new URL(redisUrl);
  const socket = connect(Number(port), hostname);
  const calls = new Map<string, number>();
  const begun = Promise.withResolvers<void>();
  socket.once('error', begun.reject);
  createInterface(socket).on('line', (line) => {
    if (line === '+OK') begun.resolve();
    const [, digest] = CALL.exec(line) ?? [];
    if (digest !== undefined) calls.set(digest, (calls.get(digest) ?? 0) + 1);
  });
  socket.write('MONITOR\r\n');
  await begun.promise;
  return { calls, stop: () => socket.destroy() };
}

/** What is called by the clock, whoever asks for anything, per second. */
export async function idleScriptsPerS(redisUrl: string, forMs: number): Promise<ScriptCalls> {
  const watch = await watchScripts(redisUrl);
  await sleep(forMs);
  watch.stop();
  return new Map([...watch.calls].map(([digest, calls]) => [digest, (calls * 1_000) / forMs]));
}

/** The digests of all scripts of the BullMQ that some sources use. */
export async function bullmqDigests(root: string, redisUrl: string): Promise<ReadonlySet<string>> {
  const require = createRequire(join(root, 'packages/job-store/package.json'));
  const { Queue } = require('bullmq') as { Queue: typeof QueueType };
  const redis = new Redis(redisUrl, { maxRetriesPerRequest: null });
  const queue = new Queue('digests', { connection: redis });
  try {
    await queue.waitUntilReady();
    // ioredis keeps what was defined as a command; its types do not say so.
    const { scriptsSet } = redis as unknown as { scriptsSet: Record<string, { sha: string }> };
    return new Set(Object.values(scriptsSet).map(({ sha }) => sha));
  } finally {
    await queue.close();
    redis.disconnect();
  }
}

/** Calls of each script beyond what the clock has asked for, apart by whose they are. */
export function callsByOwner(
  calls: ScriptCalls,
  {
    bullmq,
    idlePerS,
    forMs,
  }: { bullmq: ReadonlySet<string>; idlePerS: ScriptCalls; forMs: number },
): { readonly own: number; readonly bullmq: number } {
  const sums = { own: 0, bullmq: 0 };
  for (const [digest, count] of calls) {
    const byClock = ((idlePerS.get(digest) ?? 0) * forMs) / 1_000;
    sums[bullmq.has(digest) ? 'bullmq' : 'own'] += Math.max(0, count - byClock);
  }
  return sums;
}
