/**
 * An OpenAI-compatible server of another kind: no `/version`, no usable `/v1/models`, no `[DONE]`,
 * usage on its last chunk, and a refusal of fields that it does not know.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';

const KNOWN_FIELDS = new Set([
  'model',
  'messages',
  'max_tokens',
  'temperature',
  'stream',
  'stream_options',
]);

export async function startForeignEngine(words: readonly string[]): Promise<{ url: string }> {
  const server = createServer((request, response) => {
    if (request.url !== '/v1/chat/completions') {
      response.writeHead(500).end('no such thing');
      return;
    }
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString('utf8')));
    request.on('end', () => {
      const unknown = Object.keys(JSON.parse(body) as object).filter(
        (key) => !KNOWN_FIELDS.has(key),
      );
      if (unknown.length > 0) {
        response
          .writeHead(422)
          .end(JSON.stringify({ detail: `Unexpected fields: ${unknown.join()}` }));
        return;
      }
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      for (const content of words) {
        response.write(`data: ${JSON.stringify({ choices: [{ delta: { content } }] })}\r\n\r\n`);
      }
      const usage = { prompt_tokens: 3, completion_tokens: words.length };
      const last = { choices: [{ delta: {}, finish_reason: 'stop' }], usage };
      response.end(`data: ${JSON.stringify(last)}\r\n\r\n`);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1` };
}
