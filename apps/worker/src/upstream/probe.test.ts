import type { IncomingMessage, ServerResponse } from 'node:http';
import { describe, expect, it, onTestFinished } from 'vitest';
import { DONE, delta, startHostileEngine } from '../hostile-engine-for-test.ts';
import { createProbe } from './probe.ts';
import { startSimulator } from './simulator-for-test.ts';

const WHOLE = delta({ content: 'x' }, 'length') + DONE;
const MODELS = JSON.stringify({ data: [{ id: 'm' }] });
const SHORT_MS = 60;
const { signal } = new AbortController();

function probeAt(baseUrl: string, { canaryTimeoutMs = 60_000 } = {}) {
  const probe = createProbe({
    baseUrl,
    apiKey: undefined,
    connectMs: 10_000,
    warmupRequests: 1,
    canaryTimeoutMs,
  });
  onTestFinished(() => probe.stop());
  return probe;
}

type Answer = (response: ServerResponse, request: IncomingMessage) => unknown;

function engineWith(answer: Answer, models: string | number = MODELS) {
  return startHostileEngine(({ request, response }) => {
    if (request.url !== '/v1/models') return answer(response, request);
    return typeof models === 'number'
      ? response.writeHead(models).end()
      : response.writeHead(200).end(models);
  });
}

async function canary(answer: Answer, models?: string | number) {
  const { url } = await engineWith(answer, models);
  return probeAt(url, { canaryTimeoutMs: 1_000 }).canary({ model: 'm', expected: 'm', signal });
}

describe('a canary', () => {
  it.each<[string, Answer]>([
    ['a token', (response) => response.end(WHOLE)],
    ['that it has too much to do', (response) => response.writeHead(429).end()],
  ])('is answered with %s', async (_name, answer) => {
    expect(await canary(answer)).toEqual({ kind: 'answered' });
  });

  it.each([404, 500, 503])(
    'is answered where the models are not told but with %s',
    async (status) => {
      expect(await canary((response) => response.end(WHOLE), status)).toEqual({ kind: 'answered' });
    },
  );

  it.each<[string, Answer, string]>([
    ['500', (response) => response.writeHead(500).end(), 'status 500'],
    ['503', (response) => response.writeHead(503).end(), 'status 503'],
    ['an abort', (response) => response.end(delta({}, 'abort') + DONE), 'no legal finish reason'],
    ['a cut', (response) => response.socket?.destroy(), 'UND_ERR_SOCKET'],
  ])('fails with %s', async (_name, answer, cause) => {
    expect(await canary(answer)).toEqual({ kind: 'failed', cause });
  });

  it('fails where nothing comes', async () => {
    const { url } = await engineWith(() => {});
    const probe = probeAt(url, { canaryTimeoutMs: SHORT_MS });
    expect(await probe.canary({ model: 'm', expected: 'm', signal })).toEqual({
      kind: 'failed',
      cause: 'timeout',
    });
  });

  it('is lost where another model is served, even one that answers to every name', async () => {
    const other = JSON.stringify({ data: [{ id: 'other' }] });
    expect(await canary((response) => response.end(WHOLE), other)).toEqual({
      kind: 'lost',
      cause: 'serves other, not m',
    });
  });

  it('is lost where nobody listens', async () => {
    const { url, stop } = await engineWith(() => {});
    await stop();
    expect(await probeAt(url).canary({ model: 'm', expected: 'm', signal })).toEqual({
      kind: 'lost',
      cause: 'ECONNREFUSED',
    });
  });
});

describe('a scrape', () => {
  it('reads the page of the simulator of vLLM', async () => {
    const { url } = await startSimulator('--max-model-len=1024');
    const probe = probeAt(url);
    expect(await probe.canary({ model: 'qarr-sim', expected: 'qarr-sim', signal })).toEqual({
      kind: 'answered',
    });
    const scrape = await probe.scrape(signal);
    if (scrape.kind !== 'scraped') throw new Error(scrape.kind);
    expect(scrape.metrics).toMatchObject({ running: 0, waiting: 0, preemptions: 0 });
    expect(scrape.metrics.kvUsage).toBe(0);
    expect(scrape.metrics.tokens).toBeGreaterThan(1);
    expect(scrape.metrics.kvTokens).toBeGreaterThan(100_000);
  });

  it.each<[string, Answer, string]>([
    ['has no page', (response) => response.writeHead(404).end(), 'none'],
    ['does not let us', (response) => response.writeHead(401).end(), 'none'],
    ['is in trouble', (response) => response.writeHead(500).end(), 'unknown'],
    ['cuts the connection', (response) => response.socket?.destroy(), 'unknown'],
    ['hangs', () => {}, 'unknown'],
    ['sends too much', (response) => response.end('#'.repeat(2_097_153)), 'unknown'],
  ])('is not taken for zero where the engine %s', async (_name, answer, kind) => {
    const { url } = await engineWith(answer);
    expect((await probeAt(url).scrape(signal)).kind).toBe(kind);
  });

  it('finds nobody', async () => {
    const { url, stop } = await engineWith(() => {});
    await stop();
    expect(await probeAt(url).scrape(signal)).toEqual({
      kind: 'unreachable',
      cause: 'ECONNREFUSED',
    });
  });
});
