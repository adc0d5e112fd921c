import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import OpenAI from 'openai';
import { expect, it, onTestFinished } from 'vitest';
import { startForeignEngine } from '../harness/foreign-engine.ts';
import { readEvents, submitJob } from '../harness/native-client.ts';
import type { SseEvent } from '../harness/native-client.ts';
import { scrape } from '../harness/scrape.ts';
import type { Page } from '../harness/scrape.ts';
import { isAlive, runCli, startStack } from '../harness/stack.ts';
import type { Stack } from '../harness/stack.ts';
import { waitUntil } from '../harness/wait-until.ts';
import {
  familyOf,
  readMetricsPage,
  readQueries,
  readRules,
  takeApart,
} from '../harness/watching.ts';

const LONG = { prompt: 'Tell me a long story.', max_tokens: 400, ignore_eos: true };

it('answers three prompts from three tiers, with keys on, and leaves nothing behind', async () => {
  const secrets = { QARR_KEY_SECRETS: 'a-secret-of-this-test-longer-than-32-characters' };
  const run = await runCli(['up', '--exit-after-demo', '--workers', 'fast=2'], {
    env: { QARR_SIM_TIME_SCALE: '0.1', ...secrets },
  });
  const pids = await waitUntil('all processes are recorded', async () => {
    if (run.child.exitCode !== null) throw new Error(run.output());
    const recorded = await run.pids().catch((): Record<string, number> => ({}));
    return Object.keys(recorded).length === 11 ? recorded : null;
  });
  expect(pids).toMatchObject({
    'worker-fast-2': expect.any(Number),
    'simulator-fast-2': expect.any(Number),
  });
  expect(await run.exit()).toBe(0);
  const output = run.output();
  expect(output).toContain('keys are on');
  expect(output).not.toMatch(/qarr-[\w-]{43}/);
  for (const line of [
    /tier +fast .*default/,
    /tier +balanced .*words>150/,
    /tier +precise .*code/,
  ]) {
    expect(output).toMatch(line);
  }
  expect(output.match(/queue wait .* first token .* tokens/g)).toHaveLength(3);
  expect(Object.values(pids).filter(isAlive)).toEqual([]);
  expect(existsSync(join(run.folder, '.qarr/up.json'))).toBe(false);
  expect(existsSync(join(run.folder, '.qarr/prometheus-targets.json'))).toBe(false);
});

it('serves native jobs and official clients, and stops on SIGINT with nothing left', async () => {
  const stack = await startStack();
  const pids = Object.values(await stack.pids());
  const targets = await readFile(join(stack.folder, '.qarr/prometheus-targets.json'), 'utf8');
  // The ops ports of a test's stack are any.
  expect(targets.match(/"job": "qarr-engine"/g)).toHaveLength(3);

  // A reader is killed in the middle, comes back, and gets the rest and only the rest.
  const job = await submitJob(stack.baseUrl, LONG);
  expect(job.tier).toBe('fast');
  const first = await readSome(job.urls.events, { events: 20 });
  const rest = await readSome(job.urls.events, { after: first.at(-1)?.id ?? 0 });
  const whole = await readSome(job.urls.events, {});
  expect([...first, ...rest]).toEqual(whole);
  expect(whole.map(({ id }) => id)).toEqual(whole.map((_, index) => index + 1));
  const record = (await (await fetch(job.urls.self)).json()) as { result: { text: string } };
  expect(textOf(whole)).toBe(record.result.text);

  const client = new OpenAI({ baseURL: `${stack.baseUrl}/v1`, apiKey: 'unused' });
  const streamed = await client.chat.completions
    .stream({ model: 'precise', messages: [{ role: 'user', content: 'Hello' }], max_tokens: 20 })
    .finalChatCompletion();
  const answered = await client.chat.completions.create({
    model: 'precise',
    messages: [{ role: 'user', content: 'Hello' }],
    max_tokens: 20,
  });
  expect(answered.choices[0]?.message.content).toBe(streamed.choices[0]?.message.content);
  expect(answered.model).toBe('precise');
  const refusal = await client.chat.completions
    .create({ model: 'auto', messages: [], max_tokens: 0 })
    .catch((error: unknown) => error);
  expect(refusal).toBeInstanceOf(OpenAI.BadRequestError);

  const pages = await scrapeAll(stack);
  expect(unanswered(pages)).toEqual([]);
  expect(undocumented(pages)).toEqual([]);

  // A second system in the same folder would share its data.
  const second = await runCli(['up'], { folder: stack.folder });
  expect(await second.exit()).not.toBe(0);
  expect(oneLine(second.output())).toContain(String(stack.child.pid));

  stack.child.kill('SIGINT');
  expect(await stack.exit()).toBe(0);
  expect(pids.filter(isAlive)).toEqual([]);
  expect(existsSync(join(stack.folder, '.qarr/up.json'))).toBe(false);
});

it('carries a job on when its worker is killed, and its reader sees one text', async () => {
  const stack = await startStack({ QARR_SIM_TIME_SCALE: '0.3' });
  const job = await submitJob(stack.baseUrl, LONG);
  const seen: SseEvent[] = [];
  for await (const event of readEvents(job.urls.events)) {
    seen.push(event);
    if (seen.length === 30) {
      const pid = (await stack.pids())['worker-fast'] ?? (await stack.pids())['worker-fast-1'];
      process.kill(pid ?? 0, 'SIGKILL');
    }
  }
  expect(seen.map(({ id }) => id)).toEqual(seen.map((_, index) => index + 1));
  expect(seen.map(({ event }) => event).filter((event) => event !== 'delta')).toEqual([
    'queued',
    'started',
    'started',
    'completed',
  ]);
  const record = (await (await fetch(job.urls.self)).json()) as {
    result: { text: string; continued: number };
    attempt: number;
  };
  expect(record.attempt).toBe(2);
  const [worker = ''] = await opsUrls(stack, /^worker-fast/);
  const { samples } = await scrape(`${worker}/metrics`);
  expect(samples.find(({ name }) => name === 'qarr_jobs_stalled_total')?.value).toBe(1);
  expect(record.result.continued).toBe(1);
  expect(textOf(seen)).toBe(record.result.text);
  // The text of a simulator is a function of its prompt: nobody disturbed this one.
  const undisturbed = await submitJob(stack.baseUrl, LONG);
  const whole: SseEvent[] = [];
  for await (const event of readEvents(undisturbed.urls.events)) whole.push(event);
  expect(textOf(seen)).toBe(textOf(whole));
});

it('uses a given engine of another kind in place of a simulator', async () => {
  const words = ['Bon', 'jour', ' 漢字', ' 🙂'];
  const engine = await startForeignEngine(words);
  const stack = await startStack({ QARR_FAST_URL: engine.url });
  expect(Object.keys(await stack.pids()).filter((name) => name.includes('fast'))).toHaveLength(1);
  const job = await submitJob(stack.baseUrl, { prompt: 'Hi', tier: 'fast' });
  const events = await readSome(job.urls.events, {});
  expect(textOf(events)).toBe(words.join(''));
  expect(events.at(-1)?.data).toMatchObject({
    type: 'completed',
    usage: { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 },
  });
});

it.each([
  ['a port that is taken', async () => ({ PORT: String(await takePort()) }), 'PORT'],
  ['an ops port that is taken', async () => ({ OPS_PORT: String(await takePort()) }), 'OPS_PORT'],
  ['a Redis that does not answer', async () => ({ REDIS_URL: 'redis://127.0.0.1:1' }), 'REDIS_URL'],
  [
    'an engine that is down',
    async () => ({ QARR_FAST_URL: 'http://127.0.0.1:1' }),
    'QARR_FAST_URL',
  ],
  ['a value that makes no sense', async () => ({ PORT: 'eighty' }), 'PORT'],
])('says in one line what is wrong with %s', async (_name, setting, variable) => {
  const run = await runCli(['up', '--exit-after-demo'], { env: await setting() });
  expect(await run.exit()).not.toBe(0);
  const line = oneLine(run.output());
  expect(line).toContain(variable);
  expect(existsSync(join(run.folder, '.qarr/up.json'))).toBe(false);
});

async function readSome(
  url: string,
  { after = 0, events: limit = Number.POSITIVE_INFINITY }: { after?: number; events?: number },
): Promise<SseEvent[]> {
  const seen: SseEvent[] = [];
  for await (const event of readEvents(url, { after })) {
    seen.push(event);
    if (seen.length >= limit) break;
  }
  return seen;
}

function textOf(events: readonly SseEvent[]): string {
  return events.map(({ event, data }) => (event === 'delta' ? String(data['text']) : '')).join('');
}

/** The metrics of every process of ours, and of every engine. */
async function scrapeAll(stack: Stack): Promise<Page[]> {
  const { tiers } = (await (await fetch(`${stack.baseUrl}/v1/tiers`)).json()) as {
    tiers: { workers: { upstream: string }[] }[];
  };
  const engines = tiers.flatMap(({ workers }) => workers.map(({ upstream }) => upstream));
  const urls = [...(await opsUrls(stack, /^(api|batch|worker)/)), ...engines];
  expect(urls).toHaveLength(8);
  return Promise.all(urls.map((url) => scrape(`${url}/metrics`)));
}

/** Of the processes that run under such names now. */
async function opsUrls(stack: Stack, names: RegExp): Promise<string[]> {
  const running = Object.keys(await stack.pids()).filter((name) => names.test(name));
  const logs = await Promise.all(running.map((name) => stack.log(name)));
  const ports = logs.map((log) => [...log.matchAll(/"ops_port":(\d+)/g)].at(-1)?.[1]);
  return ports.map((port) => `http://127.0.0.1:${port}`);
}

/** What rules and dashboards ask for and no process tells. */
function unanswered(pages: readonly Page[]): string[] {
  const families = new Set(pages.flatMap((page) => [...page.families]));
  const bounds = new Set(
    pages.flatMap(({ samples }) => samples.map(({ labels }) => labels.get('le'))),
  );
  const told = new Set([
    ...readRules().map(({ record }) => record),
    // Prometheus makes these itself.
    'up',
    'ALERTS',
    // By older engines only than the one that stands in here.
    'vllm:gpu_cache_usage_perc',
  ]);
  return readQueries().flatMap(({ from, text }) => {
    const { metrics, matchers } = takeApart(text);
    const unknown = metrics.filter(
      (metric) => !told.has(metric) && familyOf(metric, families) === null,
    );
    const buckets = matchers.filter(({ label }) => label === 'le');
    const asked = buckets.flatMap(({ value }) => value.replaceAll('\\', '').split('|'));
    const missing = asked.filter((bound) => !bounds.has(bound)).map((bound) => `le=${bound}`);
    return [...unknown, ...missing].map((what) => `${from}: ${what}`);
  });
}

/** What a process of ours tells and the page of metrics does not know: a name, a label or its value. */
function undocumented(pages: readonly Page[]): string[] {
  const { labels, values } = readMetricsPage();
  const families = new Set(labels.keys());
  const ours = pages.flatMap(({ samples }) =>
    samples.filter(({ name }) => name.startsWith('qarr_')),
  );
  expect(ours.length).toBeGreaterThan(100);
  return ours.flatMap((sample) => {
    const known = labels.get(familyOf(sample.name, families) ?? '') ?? [];
    const wrong = [...sample.labels].filter(
      ([label, value]) =>
        label !== 'le' && (!known.includes(label) || values.get(label)?.includes(value) === false),
    );
    if (!familyOf(sample.name, families)) return [sample.name];
    return wrong.map(([label, value]) => `${sample.name}: ${label}="${value}"`);
  });
}

/** The only line that says what is wrong: progress and farewell aside, and no stack trace. */
function oneLine(output: string): string {
  expect(output).not.toMatch(/^\s+at /m);
  const lines = output.split('\n').filter((line) => line.startsWith('qarr'));
  expect(lines).toHaveLength(1);
  return lines[0] ?? '';
}

async function takePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}
