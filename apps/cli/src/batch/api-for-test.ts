/**
 * An API that has files and batches, in memory, and does to its clients what the real one does only
 * on bad days. Each line is "run" when the test says so.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { BatchOutcome, BatchStatus } from '@qarr/client';

export interface TestApi {
  readonly url: string;
  /** `METHOD path?query` of all requests. */
  readonly asked: readonly string[];
  /** The content of the last upload. */
  readonly uploaded: string;
  readonly batch: Record<string, unknown>;
  /** Their outcomes are there from now on. */
  run(lines: number): void;
  /** The batch ends, with the files that its outcomes make. */
  end(status?: BatchStatus): void;
  /** Looked at before anything else; true: it has answered. */
  intercept: (request: IncomingMessage, response: ServerResponse) => boolean;
  /** Instead of what the outcomes make. */
  readonly contents: Map<string, string>;
  stop(): Promise<void>;
}

const ID = 'batch_1';

function outcomeOf(line: number): BatchOutcome {
  const isBad = line % 10 === 9;
  return {
    id: `batch_req_${line}`,
    custom_id: `row-${line + 1}`,
    response: {
      status_code: isBad ? 400 : 200,
      request_id: `job_${line}`,
      body: isBad ? { error: { message: 'No.' } } : { text: `Answer ${line}: ä\u2028{}` },
    },
    error: null,
    qarr_tier: isBad ? null : line % 2 === 0 ? 'fast' : 'precise',
  };
}

function linesOf(outcomes: readonly BatchOutcome[]): string {
  return outcomes.map((outcome) => `${JSON.stringify(outcome)}\n`).join('');
}

export function expectedFiles(lines: number): { output: string; errors: string } {
  const all = Array.from({ length: lines }, (_, line) => outcomeOf(line));
  return {
    output: linesOf(all.filter(isGood)),
    errors: linesOf(all.filter((outcome) => !isGood(outcome))),
  };
}

function isGood({ response }: BatchOutcome): boolean {
  return response?.status_code === 200;
}

export async function startTestApi({ total }: { total: number }): Promise<TestApi> {
  const asked: string[] = [];
  const contents = new Map<string, string>();
  let uploaded = '';
  let done = 0;
  const batch: Record<string, unknown> = {
    id: ID,
    object: 'batch',
    endpoint: '/v1/chat/completions',
    status: 'in_progress',
    errors: null,
    input_file_id: 'file-in',
    output_file_id: null,
    error_file_id: null,
    created_at: 1_790_000_000,
    expires_at: 1_790_086_400,
  };

  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    if (api.intercept(request, response)) return;
    request.setEncoding('utf8');
    let body = '';
    request.on('data', (text: string) => (body += text));
    request.once('end', () => answer(request, response, body));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');

  function answer(request: IncomingMessage, response: ServerResponse, body: string): void {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://x');
    const json = (value: object) => response.end(JSON.stringify(value));
    if (request.method === 'POST' && pathname === '/v1/files') {
      uploaded = /\r\n\r\n(\{.*\})\s*\r\n--/s.exec(body)?.[1] ?? '';
      json({ id: 'file-in', bytes: body.length });
    } else if (pathname === '/v1/tiers') {
      json({ tiers: [{ name: 'fast' }, { name: 'precise' }] });
    } else if (pathname.endsWith('/results')) {
      const after = Number(searchParams.get('after') ?? 0);
      const upTo = Math.min(done, after + Math.min(Number(searchParams.get('limit')), 100));
      const data = Array.from({ length: upTo - after }, (_, index) => outcomeOf(after + index));
      json({
        object: 'list',
        data,
        has_more: upTo < done,
        next_cursor: String(upTo),
        status: batch['status'],
      });
    } else if (pathname.endsWith('/content')) {
      sendContent(request, response, contents.get(pathname.split('/')[3] ?? '') ?? '');
    } else if (pathname.startsWith('/v1/files/')) {
      const id = pathname.slice('/v1/files/'.length);
      json({ id, bytes: Buffer.byteLength(contents.get(id) ?? '') });
    } else if (pathname === '/v1/batches' && request.method === 'GET') {
      json({ object: 'list', data: [shown()], first_id: ID, last_id: ID, has_more: false });
    } else {
      if (pathname.endsWith('/cancel')) batch['status'] = 'cancelling';
      json(shown());
    }
  }

  function shown(): object {
    const failed = Array.from({ length: done }, (_, line) => line).filter(
      (line) => line % 10 === 9,
    );
    const counts = { total, completed: done - failed.length, failed: failed.length };
    return { request_counts: counts, ...batch };
  }

  const api: TestApi = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    batch,
    contents,
    get uploaded() {
      return uploaded;
    },
    run(lines) {
      done = Math.min(total, done + lines);
    },
    end(status = 'completed') {
      const { output, errors } = expectedFiles(done);
      batch['status'] = status;
      for (const [name, text] of [
        ['output', output],
        ['error', errors],
      ] as const) {
        if (text === '') continue;
        batch[`${name}_file_id`] = `file-${name}`;
        contents.set(`file-${name}`, text);
      }
    },
    intercept: () => false,
    async stop() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
  return api;
}

function sendContent(request: IncomingMessage, response: ServerResponse, text: string): void {
  const bytes = Buffer.from(text);
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
  response.writeHead(from === 0 ? 200 : 206, { 'content-length': String(bytes.length - from) });
  response.end(bytes.subarray(from));
}
