/** Files and batches as official clients use them, unmodified, on a whole stack with its batch runner. */
import { createOpenAI } from '@ai-sdk/openai';
import {
  experimental_cancelBatch as cancelBatch,
  experimental_getBatchResults as getBatchResults,
  experimental_getBatchStatus as getBatchStatus,
  experimental_listBatches as listBatches,
  experimental_startBatch as startBatch,
} from 'ai';
import OpenAI, { toFile } from 'openai';
import type { Batch } from 'openai/resources/batches';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chatLine, inputOf, startBatchWorld } from '../harness/batch-world.ts';
import type { BatchWorld, OutcomeLine, TestLine } from '../harness/batch-world.ts';
import { waitUntil } from '../harness/wait-until.ts';

const endpoint = '/v1/chat/completions';
const IDS = ['a', 'b', 'c'];
/** No worker has its tier: what is sent there waits. */
const WAITS = { model: 'precise' };

let world: BatchWorld;
let client: OpenAI;
let baseURL: string;

beforeAll(async () => {
  world = await startBatchWorld();
  const [api] = await Promise.all([
    world.startApi(),
    world.startRunner({ QARR_BATCH_COMMIT_MS_MAX: '100' }),
    world.startWorker('fast'),
  ]);
  baseURL = `${api.url}/v1`;
  client = new OpenAI({ baseURL, apiKey: 'unused', maxRetries: 0 });
});
afterAll(() => world.stop());

async function start(lines: readonly TestLine[] | string): Promise<Batch> {
  const text = typeof lines === 'string' ? lines : inputOf(lines, endpoint);
  const file = await client.files.create({
    file: await toFile(Buffer.from(text), 'input.jsonl'),
    purpose: 'batch',
  });
  expect(file).toMatchObject({ object: 'file', purpose: 'batch', status: 'processed' });
  return client.batches.create({ input_file_id: file.id, endpoint, completion_window: '24h' });
}

/** As programs do it that know no more than OpenAI's guide says. */
async function over({ id }: Batch): Promise<Batch> {
  return waitUntil(
    'it is over',
    async () => {
      const batch = await client.batches.retrieve(id);
      const isOver = ['completed', 'failed', 'expired', 'cancelled'].includes(batch.status);
      return isOver ? batch : null;
    },
    { timeoutMs: 30_000, everyMs: 50 },
  );
}

async function linesOf(fileId: string | null | undefined): Promise<OutcomeLine[]> {
  if (fileId === null || fileId === undefined) return [];
  const text = await (await client.files.content(fileId)).text();
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as OutcomeLine);
}

describe("OpenAI's client", () => {
  it('uploads, creates, polls and downloads', async () => {
    const wrong = chatLine('wrong', { model: 'gpt-4o' });
    const batch = await start([...IDS.map((id) => chatLine(id)), wrong]);
    expect(batch).toMatchObject({ object: 'batch', status: 'validating' });

    const ended = await over(batch);
    expect(ended).toMatchObject({
      status: 'completed',
      request_counts: { total: 4, completed: 3, failed: 1 },
    });
    const output = await linesOf(ended.output_file_id);
    expect(output.map(({ custom_id }) => custom_id).toSorted()).toEqual(IDS);
    let tokens = 0;
    for (const { response, error, qarr_tier } of output) {
      expect(error).toBeNull();
      expect(response).toMatchObject({
        status_code: 200,
        body: { object: 'chat.completion', model: 'fast', choices: [{ finish_reason: 'length' }] },
      });
      expect(qarr_tier).toBe('fast');
      const body = response?.body as { usage?: { total_tokens: number } } | undefined;
      tokens += body?.usage?.total_tokens ?? 0;
    }
    expect(ended.usage?.total_tokens).toBe(tokens);
    expect(await linesOf(ended.error_file_id)).toMatchObject([
      {
        custom_id: 'wrong',
        response: { status_code: 404, body: { error: { code: 'model_not_found' } } },
        error: null,
      },
    ]);
    // All of it once more, as it can be read before the end.
    const { data } = await client.get<{ data: OutcomeLine[] }>(`/batches/${batch.id}/results`);
    expect(data.map(({ custom_id }) => custom_id).toSorted()).toEqual([...IDS, 'wrong']);
    const page = await client.files.list({ purpose: 'batch' });
    expect(page.data.map(({ id }) => id)).toContain(batch.input_file_id);
  });

  it('is told which lines are wrong', async () => {
    const [good = ''] = inputOf([chatLine('a')], endpoint).split('\n');
    const ended = await over(await start(`${good}\n{"custom_id": "b"\n${good}\n`));
    expect(ended).toMatchObject({ status: 'failed', output_file_id: null, error_file_id: null });
    expect(ended.errors?.data).toMatchObject([
      { code: 'invalid_json_line', line: 2 },
      { code: 'duplicate_custom_id', line: 3 },
    ]);
  });

  it('cancels, and gets an outcome for each line', async () => {
    const batch = await start([...IDS.map((id) => chatLine(id, WAITS)), chatLine('done')]);
    await waitUntil('one is done', async () => {
      const { request_counts: counts } = await client.batches.retrieve(batch.id);
      return counts?.completed === 1;
    });
    const cancelled = await client.batches.cancel(batch.id);
    expect(cancelled.status).toBeOneOf(['cancelling', 'cancelled']);
    const ended = await over(batch);
    expect(ended).toMatchObject({
      status: 'cancelled',
      request_counts: { total: 4, completed: 1, failed: 3 },
    });
    expect(await linesOf(ended.output_file_id)).toMatchObject([{ custom_id: 'done' }]);
    for (const line of await linesOf(ended.error_file_id)) {
      expect(line).toMatchObject({ response: null, error: { code: 'batch_cancelled' } });
    }
    await expect(client.batches.cancel(batch.id)).resolves.toMatchObject({ status: 'cancelled' });
  });

  it('finds all of them, page by page', async () => {
    const made: string[] = [];
    for (const id of IDS) made.unshift((await start([chatLine(id)])).id);
    const found: string[] = [];
    for await (const { id } of client.batches.list({ limit: 2 })) found.push(id);
    expect(found.slice(0, 3)).toEqual(made);
    expect(new Set(found).size).toBe(found.length);
  });

  it('is told by the errors that it knows', async () => {
    const none = client.batches.retrieve('batch_none');
    await expect(none).rejects.toThrow(OpenAI.NotFoundError);
    const unknown = { input_file_id: 'file-none', endpoint, completion_window: '24h' } as const;
    await expect(client.batches.create(unknown)).rejects.toMatchObject({
      status: 404,
      code: 'file_not_found',
      param: 'input_file_id',
    });
  });
});

async function resultsOf(
  provider: ReturnType<typeof createOpenAI>,
  batch: Awaited<ReturnType<typeof startBatch>>,
) {
  const results = [];
  for await (const result of getBatchResults({ provider, batch })) results.push(result);
  return results;
}

describe('the AI SDK', () => {
  it('starts a batch, follows it, and reads its results', async () => {
    const provider = createOpenAI({ baseURL, apiKey: 'unused' });
    const requests = IDS.map((id) => ({
      id,
      type: 'text' as const,
      model: 'fast',
      prompt: `Say something about ${id}.`,
      maxOutputTokens: 4,
    }));
    const batch = await startBatch({ provider, requests });
    expect(batch).toMatchObject({ status: 'pending' });
    await waitUntil(
      'it is completed',
      async () => (await getBatchStatus({ provider, batch })).status === 'completed',
      { timeoutMs: 30_000, everyMs: 50 },
    );
    const results = await resultsOf(provider, batch);
    expect(Object.fromEntries(results.map(({ id, status }) => [id, status]))).toEqual(
      Object.fromEntries(IDS.map((id) => [id, 'succeeded'])),
    );
    expect(results).toHaveLength(IDS.length);
    for (const result of results) {
      expect(result).toMatchObject({ text: expect.stringMatching(/\w/), finishReason: 'length' });
    }
    const { batches } = await listBatches({ provider, limit: 1 });
    expect(batches).toMatchObject([{ id: batch.id, status: 'completed' }]);
  });

  it('cancels one', async () => {
    const provider = createOpenAI({ baseURL, apiKey: 'unused' });
    const request = { id: 'a', type: 'text' as const, model: 'precise', prompt: 'Hello' };
    const batch = await startBatch({ provider, requests: [request] });
    // Of one that was never validated no line is known.
    await waitUntil(
      'it is in progress',
      async () => (await client.batches.retrieve(batch.id)).status === 'in_progress',
    );
    await cancelBatch({ provider, batch });
    await waitUntil(
      'it is over',
      async () => (await getBatchStatus({ provider, batch })).status !== 'pending',
      { timeoutMs: 30_000, everyMs: 50 },
    );
    const results = await resultsOf(provider, batch);
    expect(results).toMatchObject([{ id: 'a', status: 'cancelled' }]);
  });
});
