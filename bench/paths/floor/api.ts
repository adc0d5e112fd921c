/** Adds a job for each request, and writes what is published for it to the client. */
import type { ServerResponse } from 'node:http';
import { Queue } from 'bullmq';
import fastify from 'fastify';
import { Redis } from 'ioredis';
import { readPack } from './pack.ts';

const [redisUrl = '', channel = ''] = process.argv.slice(2);
const queue = new Queue('floor', { connection: { url: redisUrl } });
const subscriber = new Redis(redisUrl);
const clients = new Map<number, ServerResponse>();
let requests = 0;

const app = fastify({ bodyLimit: 67_108_864 });
app.removeAllContentTypeParsers();
app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => done(null, body));
app.post('/v1/chat/completions', async (request, reply) => {
  requests += 1;
  const id = requests;
  const { raw } = reply.hijack();
  raw.on('close', () => clients.delete(id));
  clients.set(id, raw);
  await queue.add(
    'chat',
    { id, channel, body: request.body },
    { removeOnComplete: true, removeOnFail: true },
  );
});

subscriber.on('messageBuffer', (_channel, pack: Buffer) => {
  for (const { id, kind, bytes } of readPack(pack)) {
    const raw = clients.get(id);
    if (raw === undefined) continue;
    if (!raw.headersSent) {
      raw.writeHead(kind === 'failed' ? 502 : 200, {
        'content-type': 'text/event-stream; charset=utf-8',
      });
    }
    if (kind === 'data') raw.write(bytes);
    else raw.end();
  }
});

await subscriber.subscribe(channel);
process.on('disconnect', () => process.exit());
const url = await app.listen({ host: '127.0.0.1', port: 0, backlog: 4_096 });
process.send?.(new URL(url).port);
