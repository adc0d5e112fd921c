/** The engine of a tier goes, and what waits there: it is moved by consent, or waits for its time. */
import type { JobEvent } from '@qarr/router-core';
import { expect, it, onTestFinished } from 'vitest';
import { openStream, postJson, startApiWorld } from '../harness/api.ts';
import { startEngineProcess } from '../harness/engine-process.ts';
import { waitUntil } from '../harness/wait-until.ts';
import { startWorkerProcess } from '../harness/worker-process.ts';

it('moves what would be too late to a tier that its client allows, and nothing else', async () => {
  const world = await startApiWorld({ QARR_INTERACTIVE_QUEUE_MS: '12000' });
  onTestFinished(() => world.stop());
  const replica = await world.startApi();
  const engine = await startEngineProcess('--profile=awq-24gb');
  await startWorkerProcess({
    REDIS_URL: world.redisServer.url,
    QARR_UPSTREAM_URL: engine.url,
    QARR_WARMUP_REQUESTS: '1',
    QARR_CONCURRENCY: '1',
  });
  const precise = await world.startWorker('precise');

  const submit = async (fields: object) => {
    const response = await postJson(`${world.api.url}/v1/jobs`, { prompt: 'Hi', ...fields });
    const { id } = (await response.json()) as { id?: string };
    expect(response.status).toBe(202);
    return id ?? '';
  };
  const job = async (id: string) =>
    (await (await fetch(`${world.api.url}/v1/jobs/${id}`)).json()) as Record<string, unknown>;
  const untilStatus = (id: string, status: string) =>
    waitUntil(`${id} is ${status}`, async () => (await job(id))['status'] === status);

  const fast = { tier: 'fast', queue_timeout_ms: 12_000 };
  // It keeps the only slot, and what it has said is carried on there, or not at all.
  const first = await submit({ ...fast, max_tokens: 1_500, ignore_eos: true, fallback: 'any' });
  const stream = await openStream(`${world.api.url}/v1/jobs/${first}/events`);
  await stream.until('event: delta');
  await waitUntil('the API knows that the worker runs it', async () => {
    const { tiers } = (await (await fetch(`${world.api.url}/v1/tiers`)).json()) as Tiers;
    return tiers.some(({ name, slots, breaker }) => {
      return name === 'fast' && slots === 1 && breaker === 'closed';
    });
  });
  const allowed = await submit({ ...fast, fallback: 'any' });
  const known = await world.jobIds();
  // Nobody has pinned it.
  const chat = postJson(`${world.api.url}/v1/chat/completions`, { prompt: 'Hi' });
  const routed = await waitUntil('the chat waits', async () =>
    (await world.jobIds()).find((id) => !known.includes(id)),
  );
  const refused = await submit({ ...fast, queue_timeout_ms: 3_000 });
  const elsewhere = await submit({ ...fast, queue_timeout_ms: 3_000, fallback: 'down' });
  const reader = await openStream(`${replica.url}/v1/jobs/${allowed}/events`);
  for (const id of [allowed, routed, refused, elsewhere]) {
    expect(await job(id)).toMatchObject({ status: 'queued', tier: 'fast' });
  }

  engine.kill('SIGKILL');
  for (const id of [allowed, routed]) {
    const attempt = await precise.next(id);
    expect(attempt.job.attempt).toBe(1);
    await attempt.say('Hello');
    await attempt.complete();
    expect(await job(id)).toMatchObject({ status: 'completed', tier: 'precise' });
  }
  const answer = await chat;
  expect(answer.headers.get('x-qarr-tier')).toBe('precise');
  expect(answer.headers.get('x-qarr-fallback')).toBe('from=fast, to=precise, reason=breaker_open');
  expect(await answer.json()).toMatchObject({ model: 'precise' });
  expect(eventsOf(await reader.end()).map(({ type }) => type)).toEqual([
    'queued',
    'rerouted',
    'started',
    'delta',
    'completed',
  ]);
  expect(eventsOf(reader.text)[1]).toEqual({
    type: 'rerouted',
    from: 'fast',
    to: 'precise',
    reason: 'breaker_open',
  });
  for (const id of [refused, elsewhere]) {
    await untilStatus(id, 'expired');
    expect(await job(id)).toMatchObject({ tier: 'fast' });
  }
  expect(await job(first)).toMatchObject({ tier: 'fast' });
  stream.leave();

  const replicas = [world.api, replica];
  const counts = await Promise.all(replicas.map(({ opsUrl }) => movesCounted(opsUrl)));
  expect(counts.reduce((sum, count) => sum + count, 0)).toBe(2);
  const lines = replicas.flatMap(({ logs }) => logs.filter(({ msg }) => msg === 'job rerouted'));
  expect(new Set(lines.map(({ job_id: id }) => id))).toEqual(new Set([allowed, routed]));
  expect(lines).toHaveLength(2);
  for (const line of lines) {
    expect(line).toMatchObject({ from: 'fast', tier: 'precise', reason: 'breaker_open' });
  }
});

interface Tiers {
  readonly tiers: readonly { name: string; slots: number; breaker: string }[];
}

async function movesCounted(opsUrl: string): Promise<number> {
  const text = await (await fetch(`${opsUrl}/metrics`)).text();
  const labels = 'from="fast",to="precise",reason="breaker_open"';
  const line = text.split('\n').find((one) => one.startsWith(`qarr_fallback_total{${labels}}`));
  return Number(line?.split(' ')[1] ?? 0);
}

/** Of a native stream, in so far as they are numbered. */
function eventsOf(text: string): JobEvent[] {
  return text.split('\n\n').flatMap((frame) => {
    const data = /^data: (.*)$/m.exec(frame)?.[1];
    return data === undefined || !/^id: /m.test(frame) ? [] : [JSON.parse(data) as JobEvent];
  });
}
