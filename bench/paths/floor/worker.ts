/** Runs jobs on the engine, and publishes the bytes that come in one turn of its event loop together. */
import { Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { Pool } from 'undici';
import { writePack } from './pack.ts';
import type { Frame } from './pack.ts';

interface Chat {
  readonly id: number;
  readonly channel: string;
  readonly body: string;
}

/** More than any scenario has streams: what is measured is not this. */
const JOBS_AT_ONCE = 16_384;
const LOG_KEPT_S = 600;
const NOTHING = Buffer.alloc(0);
const [redisUrl = '', upstreamUrl = '', log = ''] = process.argv.slice(2);
const pool = new Pool(upstreamUrl, { headersTimeout: 0, bodyTimeout: 0, pipelining: 1 });
const publisher = new Redis(redisUrl);
/** By channel. */
const packs = new Map<string, Frame[]>();

function tell(channel: string, frame: Frame): void {
  if (packs.size === 0) setImmediate(flush);
  const pack = packs.get(channel);
  if (pack === undefined) packs.set(channel, [frame]);
  else pack.push(frame);
}

/** One pipeline for the turn: it is logged before it is published. */
function flush(): void {
  const pipeline = publisher.pipeline();
  for (const [channel, frames] of packs) {
    for (const [id, ofJob] of log === 'log' ? Map.groupBy(frames, (frame) => frame.id) : []) {
      const key = `log:${channel}:${id}`;
      pipeline.xadd(key, '*', 'bytes', Buffer.concat(ofJob.map(({ bytes }) => bytes)));
      if (ofJob.at(-1)?.kind !== 'data') pipeline.expire(key, LOG_KEPT_S);
    }
    pipeline.publish(channel, writePack(frames));
  }
  packs.clear();
  void pipeline.exec();
}

function run({ id, channel, body }: Chat): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const end = (kind: 'end' | 'failed') => {
    tell(channel, { id, kind, bytes: NOTHING });
    resolve();
  };
  const headers = { 'content-type': 'application/json' };
  pool.dispatch(
    { path: '/v1/chat/completions', method: 'POST', headers, body },
    {
      onRequestStart() {},
      onResponseStart(controller, status) {
        if (status !== 200) controller.abort(new Error('refused'));
      },
      onResponseData: (_controller, bytes) => tell(channel, { id, kind: 'data', bytes }),
      onResponseEnd: () => end('end'),
      onResponseError: () => end('failed'),
    },
  );
  return promise;
}

const worker = new Worker<Chat>('floor', (job) => run(job.data), {
  connection: { url: redisUrl, maxRetriesPerRequest: null },
  concurrency: JOBS_AT_ONCE,
});
await worker.waitUntilReady();
process.on('disconnect', () => process.exit());
process.send?.('ready');
