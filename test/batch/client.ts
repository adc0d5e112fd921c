/** A data engineer's program: it uploads, creates, polls and downloads, from whichever replica answers. */
import { createHash, randomUUID } from 'node:crypto';
import { openAsBlob } from 'node:fs';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from '../chaos/random.ts';
import type { BatchSeen, FileSeen, FilesSeen, OutcomeLine, Poll } from './evidence.ts';

const PAUSE_MS = 100;
const ANSWER_MS = 60_000;
const PAGE = 1_000;
const NEWLINE = 0x0a;
const OVER: ReadonlySet<string> = new Set(['completed', 'failed', 'expired', 'cancelled']);

export interface BatchClient {
  /** Returns the id of the file. */
  upload(path: string): Promise<string>;
  create(fileId: string): Promise<BatchSeen>;
  /** Until it is over, or as it is then; `onPoll` is called with each look at it. */
  untilOver(
    batchId: string,
    options: { withinMs: number; onPoll: (poll: Poll) => void },
  ): Promise<BatchSeen>;
  files(batch: BatchSeen): Promise<FilesSeen>;
  /** Of both files; throws where a line is none. */
  outcomes(batch: BatchSeen): Promise<OutcomeLine[]>;
  /** The custom ids of all that can be read, page by page. */
  results(batchId: string): Promise<string[]>;
}

export function createBatchClient({
  apis,
  random,
  pollEveryMs,
}: {
  apis: readonly { readonly url: string }[];
  random: Random;
  pollEveryMs: number;
}): BatchClient {
  /** From a replica that lives, as often as it takes: whatever is asked may be asked again. */
  async function ask<Answer>(
    path: string,
    read: (response: Response) => Promise<Answer>,
    init: () => Promise<RequestInit> | RequestInit = () => ({}),
  ): Promise<Answer> {
    const deadlineMs = performance.now() + ANSWER_MS;
    for (;;) {
      let problem: unknown;
      try {
        const response = await fetch(`${random.pick(apis).url}${path}`, await init());
        if (response.ok) return await read(response);
        problem = `${response.status} ${(await response.text()).slice(0, 500)}`;
        // What is wrong with the request stays wrong.
        if (response.status < 429) throw new Refused(`${path}: ${String(problem)}`);
      } catch (error) {
        if (error instanceof Refused) throw error;
        problem ??= error;
      }
      if (performance.now() > deadlineMs) throw new Error(`${path}: no answer`, { cause: problem });
      await sleep(PAUSE_MS);
    }
  }
  const json = <Answer>(path: string) =>
    ask(path, async (response) => (await response.json()) as Answer);

  async function fileSeen(fileId: string | null): Promise<FileSeen | null> {
    if (fileId === null) return null;
    const { bytes } = await json<{ bytes: number }>(`/v1/files/${fileId}`);
    return ask(`/v1/files/${fileId}/content`, async ({ body }) => {
      const hash = createHash('sha256');
      let [contentBytes, lines] = [0, 0];
      for await (const chunk of body ?? []) {
        hash.update(chunk);
        contentBytes += chunk.length;
        for (const byte of chunk) if (byte === NEWLINE) lines += 1;
      }
      return { bytes, contentBytes, lines, sha256: hash.digest('hex') };
    });
  }

  async function linesOf(fileId: string | null, file: OutcomeLine['file']): Promise<OutcomeLine[]> {
    if (fileId === null) return [];
    return ask(`/v1/files/${fileId}/content`, async ({ body }) => {
      if (body === null) return [];
      const outcomes: OutcomeLine[] = [];
      const lines = createInterface({ input: Readable.from(body), crlfDelay: Infinity });
      for await (const line of lines) outcomes.push(outcomeOf(JSON.parse(line) as RawLine, file));
      return outcomes;
    });
  }

  return {
    async upload(path) {
      const init = async () => {
        const form = new FormData();
        form.set('purpose', 'batch');
        form.set('file', await openAsBlob(path), 'input.jsonl');
        return { method: 'POST', body: form };
      };
      const { id } = await ask(
        '/v1/files',
        (response) => response.json() as Promise<BatchSeen>,
        init,
      );
      return id;
    },

    create(fileId) {
      const body = JSON.stringify({
        input_file_id: fileId,
        endpoint: '/v1/chat/completions',
        completion_window: '24h',
      });
      const headers = { 'content-type': 'application/json', 'idempotency-key': randomUUID() };
      return ask(
        '/v1/batches',
        (response) => response.json() as Promise<BatchSeen>,
        () => ({ method: 'POST', headers, body }),
      );
    },

    async untilOver(batchId, { withinMs, onPoll }) {
      const deadlineMs = performance.now() + withinMs;
      for (;;) {
        const batch = await json<BatchSeen>(`/v1/batches/${batchId}`);
        const { status, request_counts: counts } = batch;
        onPoll({ atMs: performance.now(), status, ...counts });
        if (OVER.has(status) || performance.now() > deadlineMs) return batch;
        await sleep(pollEveryMs);
      }
    },

    async files({ output_file_id: output, error_file_id: error }) {
      return { output: await fileSeen(output), error: await fileSeen(error) };
    },

    async outcomes({ output_file_id: output, error_file_id: error }) {
      return [...(await linesOf(output, 'output')), ...(await linesOf(error, 'error'))];
    },

    async results(batchId) {
      const ids: string[] = [];
      for (let after = ''; ;) {
        const page = await json<ResultsPage>(
          `/v1/batches/${batchId}/results?limit=${PAGE}${after === '' ? '' : `&after=${after}`}`,
        );
        ids.push(...page.data.map(({ custom_id: id }) => id));
        after = page.next_cursor;
        if (!page.has_more) return ids;
      }
    },
  };
}

class Refused extends Error {}

interface ResultsPage {
  readonly data: readonly { readonly custom_id: string }[];
  readonly has_more: boolean;
  readonly next_cursor: string;
}

interface RawLine {
  readonly custom_id: string;
  readonly qarr_tier: string | null;
  readonly response: {
    readonly status_code: number;
    readonly body: {
      readonly choices?: readonly { readonly message: { readonly content: string } }[];
      readonly usage?: { readonly prompt_tokens: number; readonly completion_tokens: number };
      readonly error?: { readonly code: string };
    };
  } | null;
  readonly error: { readonly code: string } | null;
}

function outcomeOf(line: RawLine, file: OutcomeLine['file']): OutcomeLine {
  const { response } = line;
  const usage = response?.body.usage;
  return {
    customId: line.custom_id,
    file,
    status: response?.status_code ?? null,
    code: line.error?.code ?? response?.body.error?.code ?? null,
    tier: line.qarr_tier,
    text: response?.body.choices?.[0]?.message.content ?? null,
    promptTokens: usage?.prompt_tokens ?? 0,
    completionTokens: usage?.completion_tokens ?? 0,
  };
}
