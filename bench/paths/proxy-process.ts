/** Passes each request on to the engine as it came, and its bytes back as they come. */
import fastify from 'fastify';
import { Pool } from 'undici';

const PATH = '/v1/chat/completions';
const [upstreamUrl = ''] = process.argv.slice(2);
const pool = new Pool(upstreamUrl, { headersTimeout: 0, bodyTimeout: 0, pipelining: 1 });
const app = fastify({ bodyLimit: 67_108_864 });

app.removeAllContentTypeParsers();
app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
app.post(PATH, (request, reply) => {
  reply.hijack();
  const { raw } = reply;
  pool.dispatch(
    {
      path: PATH,
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: request.body as Buffer,
    },
    {
      onRequestStart(controller) {
        raw.on('close', () => {
          if (!raw.writableFinished) controller.abort(new Error('the client is gone'));
        });
      },
      onResponseStart(_controller, status) {
        raw.writeHead(status, { 'content-type': 'text/event-stream; charset=utf-8' });
      },
      onResponseData(_controller, chunk) {
        raw.write(chunk);
      },
      onResponseEnd: () => raw.end(),
      onResponseError: () => raw.destroy(),
    },
  );
});

process.on('disconnect', () => process.exit());
const url = await app.listen({ host: '127.0.0.1', port: 0, backlog: 4_096 });
process.send?.({ port: Number(new URL(url).port) });
