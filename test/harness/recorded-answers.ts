/**
 * A server that answers by recorded events, written to the wire by the code of the API, and the
 * official client for it.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { chatRequestSchema } from '@qarr/router-core';
import type { ChatRequest, JobEvent } from '@qarr/router-core';
import OpenAI from 'openai';
import { onTestFinished } from 'vitest';
// An app has no other entry than its process.
import { createChatChunks } from '../../apps/api/src/chat-chunks.ts';

/** One answer after another, each to a request that the API would take. */
export async function serveRecorded(
  answers: JobEvent[][],
): Promise<{ client: OpenAI; bodies: ChatRequest[] }> {
  const bodies: ChatRequest[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (bytes: Buffer) => (body += bytes.toString()));
    request.on('end', () => {
      bodies.push(chatRequestSchema.parse(JSON.parse(body)));
      const events = answers[bodies.length - 1] ?? [];
      const identity = {
        jobId: `job_${bodies.length}`,
        tier: 'fast',
        created: 1,
        serviceTier: 'default' as const,
      };
      const chunks = createChatChunks(identity, { includeUsage: true });
      response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
      for (const [index, event] of events.entries()) {
        const logged = { seq: index + 1, type: event.type, json: JSON.stringify(event) };
        response.write(`: hb\n${chunks.frames([logged])}`);
      }
      response.end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const { port } = server.address() as AddressInfo;
  const baseURL = `http://127.0.0.1:${port}/v1`;
  return { client: new OpenAI({ baseURL, apiKey: 'unused', maxRetries: 0 }), bodies };
}
