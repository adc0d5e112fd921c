/** `/v1/responses`, read by OpenAI's official client, and as it stands on the wire. */
import OpenAI, { APIError } from 'openai';
import type { ResponseStreamEvent } from 'openai/resources/responses/responses';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { USAGE, openStream, postJson, startApiWorld } from '../harness/api.ts';
import type { ApiProcess, ApiWorld, TestAttempt, TestWorker } from '../harness/api.ts';
import { waitUntil } from '../harness/wait-until.ts';

let world: ApiWorld;
let worker: TestWorker;
let other: ApiProcess;
let client: OpenAI;
let elsewhere: OpenAI;

const clientOf = ({ url }: ApiProcess) =>
  new OpenAI({ baseURL: `${url}/v1`, apiKey: 'unused', maxRetries: 0 });

beforeAll(async () => {
  world = await startApiWorld({ QARR_HEARTBEAT_MS: '100' });
  [worker, other] = await Promise.all([world.startWorker('fast'), world.startApi()]);
  client = clientOf(world.api);
  elsewhere = clientOf(other);
});
afterAll(() => world.stop());

/** A model whose tier has no worker: what is sent there waits. */
const WAITS = 'precise';
const request = { model: 'auto', input: 'Hello' };

async function answer(texts: string[], finish: (attempt: TestAttempt) => Promise<void>) {
  const attempt = await worker.next();
  for (const text of texts) await attempt.say(text);
  await finish(attempt);
}
const complete = (attempt: TestAttempt) => attempt.complete();

async function all<Event>(events: AsyncIterable<Event>): Promise<Event[]> {
  const seen: Event[] = [];
  for await (const event of events) seen.push(event);
  return seen;
}

describe('a response', () => {
  it('is answered in one piece', async () => {
    const answering = answer(['Hello ', 'world'], complete);
    const { data: response, response: http } = await client.responses
      .create({ ...request, instructions: 'Be kind', metadata: { a: 'b' } })
      .withResponse();
    await answering;
    expect(response).toMatchObject({
      object: 'response',
      status: 'completed',
      output_text: 'Hello world',
      instructions: 'Be kind',
      model: 'fast',
      metadata: { a: 'b' },
      usage: { input_tokens: USAGE.prompt_tokens, output_tokens: USAGE.completion_tokens },
    });
    expect(response.id).toMatch(/^resp_\w{32}$/);
    expect(http.headers.get('x-qarr-tier')).toBe('fast');
    expect(http.headers.get('x-qarr-job')).toBe(response.id.replace('resp', 'job'));
    expect(await elsewhere.responses.retrieve(response.id)).toEqual(response);
  });

  it('is streamed', async () => {
    const stream = await client.responses.create({ ...request, stream: true });
    const answering = answer(['Hello ', 'world'], complete);
    const events = await all(stream);
    await answering;
    expect(events.map(({ type }) => type)).toEqual([
      'response.created',
      'response.queued',
      'response.in_progress',
      'response.output_item.added',
      'response.content_part.added',
      'response.output_text.delta',
      'response.output_text.delta',
      'response.output_text.done',
      'response.content_part.done',
      'response.output_item.done',
      'response.completed',
    ]);
    expect(events.map((event) => event.sequence_number)).toEqual(events.map((_, at) => at));
  });
});
