/**
 * The paced engine: shaped as vLLM to whoever asks, without a model. It is quick enough to be no part
 * of what is measured, and shares no code with the product. Its parent sets its pace.
 */
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { HOLD, answerIdIn, idsOf, promptTokensOf, seedOf } from './answer-text.ts';
import { createChunks } from './chunks.ts';
import { pageOf } from './pages.ts';
import { createSteps } from './steps.ts';

/** What waits for a socket before an answer without a pace waits for it. */
const UNSENT_BYTES_MAX = 65_536;
const BODY_BYTES_MAX = 67_108_864;
const DEFAULT_TOKENS = 16;

interface EngineRequest {
  readonly prompt?: string | readonly number[];
  readonly stream?: boolean;
  readonly max_tokens?: number;
  readonly max_completion_tokens?: number;
  readonly return_token_ids?: boolean;
  readonly stream_options?: { include_usage?: boolean; continuous_usage_stats?: boolean } | null;
  readonly continue_final_message?: boolean;
  readonly add_generation_prompt?: boolean;
}

const [model = 'bench', stepMs = '20'] = process.argv.slice(2);
const steps = createSteps({ stepMs: Number(stepMs) });
let answers = 0;
const total = { promptTokens: 0, tokens: 0 };

const server = createServer((request, response) => {
  if (request.method === 'GET') return showPage(request, response);
  const parts: Buffer[] = [];
  let bytes = 0;
  request.on('data', (part: Buffer) => {
    bytes += part.length;
    if (bytes > BODY_BYTES_MAX) request.destroy();
    parts.push(part);
  });
  request.on('end', () => {
    const [part] = parts;
    const body = parts.length === 1 && part !== undefined ? part : Buffer.concat(parts);
    answer(request.url ?? '', body.toString(), response);
  });
});
server.keepAliveTimeout = 60_000;
server.requestTimeout = 0;

function showPage({ url = '' }: IncomingMessage, response: ServerResponse): void {
  const counts = { running: steps.running, ...total };
  const page = pageOf(url, { model, counts });
  response.writeHead(page === null ? 404 : 200).end(page ?? '');
}

function answer(url: string, text: string, response: ServerResponse): void {
  const request = JSON.parse(text) as EngineRequest;
  switch (url) {
    case '/v1/chat/completions':
    case '/v1/completions':
      if (request.stream !== true) return sendJson(response, 400, { error: 'streams only' });
      if (request.continue_final_message === true && request.add_generation_prompt !== false) {
        return sendJson(response, 400, { error: 'cannot continue and begin' });
      }
      return stream({ isChat: url === '/v1/chat/completions', request, text }, response);
    case '/tokenize':
      return sendJson(response, 200, { tokens: idsOf(promptTokensOf(text)) });
    case '/detokenize':
      return sendJson(response, 200, { prompt: 'text' });
    default:
      return sendJson(response, 404, { error: 'no such page' });
  }
}

function stream(
  { isChat, request, text }: { isChat: boolean; request: EngineRequest; text: string },
  response: ServerResponse,
): void {
  answers += 1;
  const count = request.max_completion_tokens ?? request.max_tokens ?? DEFAULT_TOKENS;
  const promptTokens = promptTokensOf(text);
  const chunks = createChunks({
    id: `${isChat ? 'chatcmpl' : 'cmpl'}-${answers.toString(16).padStart(32, '0')}`,
    seed: seedOf(answerIdIn(text) ?? ''),
    model,
    isChat,
    tokens: count,
    promptTokens,
    withTokenIds: request.return_token_ids === true,
    usage: usageOf(request),
  });
  total.promptTokens += promptTokens;

  const { socket } = response;
  if (socket === null) return;
  socket.cork();
  response.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'transfer-encoding': 'chunked',
  });
  // Its chunks go past it to the socket, framed as it would have framed them; it writes the last one.
  response.flushHeaders();
  let index = 0;
  const running = {
    get isFull() {
      return socket.writableLength > UNSENT_BYTES_MAX;
    },
    advance(by: number): boolean {
      const upTo = Math.min(count, index + by);
      total.tokens += upTo - index;
      let said = index === 0 ? chunks.begin() : '';
      for (; index < upTo; index += 1) said += chunks.token(index);
      const isLast = index === count;
      if (!isLast) {
        socket.write(said, 'latin1');
        return true;
      }
      socket.cork();
      socket.write(said + chunks.end(), 'latin1');
      response.end();
      socket.uncork();
      return false;
    },
  };
  if (text.includes(HOLD)) {
    socket.write(chunks.begin(), 'latin1');
  } else {
    response.on('close', () => steps.remove(running));
    steps.add(running);
  }
  socket.uncork();
}

function usageOf({ stream_options: options }: EngineRequest): 'none' | 'last' | 'each' {
  if (options?.include_usage !== true) return 'none';
  return options.continuous_usage_stats === true ? 'each' : 'last';
}

function sendJson(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

process.on('message', (pace: { stepMs: number }) => {
  steps.set(pace);
  process.send?.({ kind: 'set' });
});
// Without its parent it is of no use.
process.on('disconnect', () => process.exit());
server.listen(0, '127.0.0.1', 4_096, () => {
  process.send?.({ kind: 'listening', port: (server.address() as AddressInfo).port });
});
