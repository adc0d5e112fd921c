import type { ServerResponse } from 'node:http';
import { createLogger } from '@qarr/process';
import { BREAKER_DEFAULTS } from '@qarr/router-core';
import type { UpstreamStatus } from '@qarr/router-core';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { createEngine } from '../engine.ts';
import type { EngineOutcome } from '../engine.ts';
import { failureOfConnection, failureOfStatus, failureOfTimeout } from '../engine-failure.ts';
import type { EngineFailure } from '../engine-failure.ts';
import { DONE, delta, startHostileEngine } from '../hostile-engine-for-test.ts';
import { ALONE } from './alone-for-test.ts';
import { createProbe } from './probe.ts';
import { createServedModel } from './served-model.ts';
import type { ServedModel } from './served-model.ts';
import { startSimulator } from './simulator-for-test.ts';
import { createUpstream } from './upstream.ts';

const PATIENCE = { timeout: 20_000, interval: 2 };
const NEVER_MS = 3_600_000;
const WHOLE = delta({ content: 'x' }, 'length') + DONE;

/** What an engine does, which a test changes while it runs. */
interface Behaviour {
  chat: (response: ServerResponse) => unknown;
  models: readonly string[];
  startedAtS: number;
}

/** An engine that does as it is told; `chats` counts the requests for tokens. */
async function startEngine(changes: Partial<Behaviour> = {}, port = 0) {
  const does: Behaviour = {
    chat: (response) => response.end(WHOLE),
    models: ['m'],
    startedAtS: 100,
    ...changes,
  };
  const server = await startHostileEngine(
    ({ request, response }) => {
      if (request.url === '/v1/models') {
        return response.end(JSON.stringify({ data: does.models.map((id) => ({ id })) }));
      }
      if (request.url === '/metrics') {
        return response.end(`process_start_time_seconds ${does.startedAtS}\n`);
      }
      if (request.url !== '/v1/chat/completions') return response.writeHead(404).end();
      return does.chat(response);
    },
    { port },
  );
  const chats = () => server.requests.filter(({ path }) => path === '/v1/chat/completions').length;
  return {
    url: server.url,
    stop: server.stop,
    does,
    chats,
    /** Whatever it is asked. */
    asked: () => server.requests.length,
    port: Number(new URL(server.url).port),
  };
}

function watch(
  url: string,
  {
    canaryEveryMs = NEVER_MS,
    canaryTimeoutMs = NEVER_MS,
    warmupRequests = 3,
    openMs = 1,
    servedModel = createServedModel(undefined),
    onWarn = () => {},
  }: {
    canaryEveryMs?: number;
    canaryTimeoutMs?: number;
    warmupRequests?: number;
    openMs?: number;
    servedModel?: ServedModel;
    onWarn?: (details: Record<string, unknown>, message: string) => void;
  } = {},
) {
  const connectMs = 10_000;
  const apiKey = undefined;
  const timeouts = {
    connectMs,
    headersMs: NEVER_MS,
    firstTokenMs: NEVER_MS,
    idleMs: NEVER_MS,
    rateWindowMs: NEVER_MS,
    tokensPerWindowMin: 0,
  };
  const states: UpstreamStatus['state'][] = [];
  let changes = 0;
  const log = createLogger({ name: 'test', level: 'silent' });
  vi.spyOn(log, 'child').mockImplementation(() => log as never);
  vi.spyOn(log, 'warn').mockImplementation((details: unknown, message?: unknown) => {
    onWarn(details as Record<string, unknown>, String(message));
  });
  const upstream = createUpstream({
    url,
    engine: createEngine({ baseUrl: url, apiKey, timeouts, connections: 4 }),
    probe: createProbe({ baseUrl: url, apiKey, connectMs, warmupRequests, canaryTimeoutMs }),
    ceiling: 4,
    canaryEveryMs,
    breaker: { ...BREAKER_DEFAULTS, resetTimeoutMs: openMs, resetTimeoutMsMax: openMs },
    shared: ALONE,
    servedModel,
    fallbackModel: 'fast',
    onChange() {
      changes += 1;
      const { state } = upstream.status();
      if (states.at(-1) !== state) states.push(state);
    },
    onBreaker() {},
    log,
    askAgainBaseMs: 1,
    probeProvesEveryMs: 20,
    scrapeEveryMs: 5,
  });
  onTestFinished(() => upstream.stop());
  const becomes = (state: UpstreamStatus['state']) =>
    vi.waitFor(() => expect(upstream.status().state).toBe(state), PATIENCE);
  /** However short. */
  const was = (state: UpstreamStatus['state']) =>
    vi.waitFor(() => expect(states).toContain(state), PATIENCE);
  const goesThrough = (...expected: UpstreamStatus['state'][]) =>
    vi.waitFor(() => expect(states).toEqual(expected), PATIENCE);
  return { upstream, states, changes: () => changes, becomes, was, goesThrough };
}

function failed(failure: EngineFailure): EngineOutcome {
  return { usage: null, ending: { kind: 'failed', failure } };
}

const ANSWERED: EngineOutcome = { usage: null, ending: { kind: 'whole', finishReasons: ['stop'] } };
const BROKEN = failed(failureOfStatus(500, ''));
const BUSY = failed(failureOfStatus(503, ''));

describe('an engine', () => {
  it('is warmed, and then has room', async () => {
    const engine = await startEngine();
    const { upstream, goesThrough } = watch(engine.url);
    expect(upstream.isReady).toBe(false);
    await goesThrough('warming', 'ready');
    expect(engine.chats()).toBe(3);
    expect(upstream.status()).toMatchObject({ model: 'm', slots: 4, running: 0 });
  });

  it('counts what it has', async () => {
    const { url } = await startEngine();
    const { upstream, becomes } = watch(url);
    await becomes('ready');
    const slots = [upstream.acquire(), upstream.acquire()];
    expect(upstream.running).toBe(2);
    for (const slot of slots) slot.release();
    expect(upstream.running).toBe(0);
  });

  it('is asked until it answers', async () => {
    const { port, stop } = await startEngine();
    await stop();
    const { becomes, states, upstream } = watch(`http://127.0.0.1:${port}`);
    await becomes('gone');
    await startEngine({}, port);
    await becomes('ready');
    expect(states).toEqual(['gone', 'warming', 'ready']);
    expect(upstream.status().model).toBe('m');
  });

  it('is not ready while it cannot be warmed', async () => {
    const engine = await startEngine({ chat: (response) => response.writeHead(500).end() });
    const { becomes, states } = watch(engine.url);
    await becomes('gone');
    engine.does.chat = (response) => response.end(WHOLE);
    await becomes('ready');
    expect(states.filter((state) => state === 'ready')).toHaveLength(1);
  });

  it('is out from its loss until it is ready, however long its warm-up takes', async () => {
    const engine = await startEngine();
    const { upstream, becomes } = watch(engine.url);
    expect(upstream.isOut).toBe(false);
    await becomes('ready');
    const { promise: asked, resolve } = Promise.withResolvers<ServerResponse>();
    engine.does.chat = resolve;
    upstream.acquire().report(failed(failureOfConnection('ECONNREFUSED', { reached: 'nobody' })));
    expect(upstream.isOut).toBe(true);
    const response = await asked;
    expect(upstream.status()).toMatchObject({ state: 'warming', breaker: 'closed' });
    expect(upstream.isOut).toBe(true);
    engine.does.chat = (next) => next.end(WHOLE);
    response.end(WHOLE);
    await becomes('ready');
    expect(upstream.isOut).toBe(false);
  });

  it('is out once a first request of its warm-up has failed, and each of these is logged', async () => {
    const asked: ServerResponse[] = [];
    const engine = await startEngine({ chat: (response) => asked.push(response) });
    const lines: string[] = [];
    const { upstream, becomes } = watch(engine.url, {
      onWarn: (details, message) => lines.push(`${message}: ${String(details['cause'])}`),
    });
    await vi.waitFor(() => expect(asked).toHaveLength(1), PATIENCE);
    expect(upstream.isOut).toBe(false);
    asked[0]?.writeHead(500).end();
    await vi.waitFor(() => expect(asked).toHaveLength(2), PATIENCE);
    expect(upstream.isOut).toBe(true);
    expect(lines).toEqual(['warm-up request failed: status 500']);
    engine.does.chat = (response) => response.end(WHOLE);
    asked[1]?.end(WHOLE);
    await becomes('ready');
    expect(upstream.isOut).toBe(false);
  });

  it('stops at any time', async () => {
    const hanging = await startEngine({ chat: () => {} });
    const { becomes, upstream } = watch(hanging.url);
    await becomes('warming');
    await vi.waitFor(() => expect(hanging.chats()).toBe(1), PATIENCE);
    await upstream.stop();
  });
});

describe('an engine in doubt', () => {
  it.each([
    ['timed out', failureOfTimeout('idle', 1)],
    ['was broken off', failureOfConnection('ECONNRESET', { reached: 'text' })],
    ['met an error', failureOfStatus(500, '')],
    ['met a wrong address', failureOfStatus(404, '')],
    ['was refused our key', failureOfStatus(401, '')],
  ])('gets no job after one that %s until it has answered a canary', async (_name, failure) => {
    const engine = await startEngine();
    const { upstream, becomes, states } = watch(engine.url);
    await becomes('ready');
    const canary = Promise.withResolvers<ServerResponse>();
    engine.does.chat = canary.resolve;
    upstream.acquire().report(failed(failure));
    expect(upstream.isReady).toBe(false);
    expect(upstream.status()).toMatchObject({ state: 'suspect', slots: 0, running: 1 });
    (await canary.promise).end(WHOLE);
    await becomes('ready');
    expect(states).toEqual(['warming', 'ready', 'suspect', 'ready']);
    expect(engine.chats()).toBe(4);
  });

  it.each<[string, EngineOutcome]>([
    ['was answered', { usage: null, ending: { kind: 'whole', finishReasons: ['stop'] } }],
    ['was ended by us', { usage: null, ending: { kind: 'aborted' } }],
    ['was refused', failed(failureOfStatus(400, ''))],
    ['was too much', failed(failureOfStatus(503, ''))],
    ['was too long', failed(failureOfStatus(400, 'maximum context length'))],
  ])('is none after a job that %s', async (_name, outcome) => {
    const { url } = await startEngine();
    const { upstream, becomes } = watch(url);
    await becomes('ready');
    upstream.acquire().report(outcome);
    expect(upstream.isReady).toBe(true);
  });

  it('is gone after two canaries that fail, and warmed before it is ready again', async () => {
    const engine = await startEngine();
    const { upstream, becomes, was, states } = watch(engine.url);
    await becomes('ready');
    const askedAs: string[] = [];
    engine.does.chat = (response) => {
      askedAs.push(upstream.status().state);
      response.writeHead(500).end();
    };
    upstream.acquire().report(failed(failureOfStatus(500, '')));
    await was('gone');
    expect(askedAs.filter((state) => state === 'suspect')).toHaveLength(2);
    engine.does.chat = (response) => response.end(WHOLE);
    await becomes('ready');
    expect(states.slice(0, 4)).toEqual(['warming', 'ready', 'suspect', 'gone']);
    expect(states.slice(-2)).toEqual(['warming', 'ready']);
  });

  it('is ready again after one canary that fails and one that does not', async () => {
    const engine = await startEngine();
    const { upstream, goesThrough, becomes } = watch(engine.url);
    await becomes('ready');
    engine.does.chat = (response) => {
      engine.does.chat = (next) => next.end(WHOLE);
      response.writeHead(500).end();
    };
    upstream.acquire().report(failed(failureOfStatus(500, '')));
    await goesThrough('warming', 'ready', 'suspect', 'ready');
  });

  it('is gone at once when nobody listens', async () => {
    const { url } = await startEngine();
    const { upstream, becomes } = watch(url);
    await becomes('ready');
    upstream.acquire().report(failed(failureOfConnection('ECONNREFUSED', { reached: 'nobody' })));
    expect(upstream.status().state).toBe('gone');
    await becomes('ready');
  });

  it('is not in doubt for what befell a job in an earlier life of it', async () => {
    const engine = await startEngine();
    const { upstream, becomes } = watch(engine.url);
    await becomes('ready');
    const slots = Array.from({ length: 5 }, () => upstream.acquire());
    engine.does.startedAtS = 200;
    await vi.waitFor(() => expect(engine.chats()).toBe(6), PATIENCE);
    await becomes('ready');
    for (const slot of slots) slot.report(failed(failureOfTimeout('idle', 1)));
    expect(upstream.isReady).toBe(true);
    expect(upstream.status().breaker).toBe('closed');
  });
});

describe('an incident that many jobs see', () => {
  // Counted one by one the last of them would lead to minutes of rest, though the first is short.
  it.each<[string, EngineFailure]>([
    ['the engine dies', failureOfConnection('ECONNRESET', { reached: 'text' })],
    ['it stands still', failureOfTimeout('idle', 1)],
  ])('is one failure: %s', async (_name, failure) => {
    const { url } = await startEngine();
    const { upstream, becomes } = watch(url);
    await becomes('ready');
    const slots = Array.from({ length: 32 }, () => upstream.acquire());
    for (const slot of slots) slot.report(failed(failure));
    expect(upstream.isReady).toBe(false);
    await becomes('ready');
  });
});

/** It has failed job after job, and its time is not up. */
async function tripped({ openMs = NEVER_MS } = {}) {
  const engine = await startEngine();
  const watched = watch(engine.url, { openMs });
  await watched.becomes('ready');
  const slots = Array.from({ length: 5 }, () => watched.upstream.acquire());
  for (const slot of slots) slot.report(BROKEN);
  for (const slot of slots) slot.release();
  return { ...watched, engine };
}

/** The same, and another process has taken its place. */
async function halfOpen() {
  const all = await tripped();
  all.engine.does.startedAtS = 200;
  await all.becomes('ready');
  expect(all.upstream.status().breaker).toBe('half_open');
  return all;
}

describe('the breaker of an engine', () => {
  it('opens when five jobs in a row failed, and nothing is asked for until its time is up', async () => {
    const { upstream, engine, states } = await tripped();
    expect(upstream.status()).toMatchObject({ state: 'gone', slots: 0, breaker: 'open' });
    expect(upstream.status().retry_in_ms).toBeGreaterThan(NEVER_MS / 2);
    expect(upstream.isAble).toBe(false);
    const before = engine.asked();
    await vi.waitFor(() => expect(engine.asked()).toBeGreaterThan(before + 4), PATIENCE);
    expect(engine.chats()).toBe(3);
    expect(states.at(-1)).toBe('gone');
  });

  it('is half-open when its time is up', async () => {
    const { upstream, becomes, engine } = await tripped({ openMs: 30 });
    await becomes('ready');
    expect(upstream.status()).toMatchObject({ breaker: 'half_open', slots: 1, retry_in_ms: null });
    expect(engine.chats()).toBeGreaterThanOrEqual(6);
  });

  it('is half-open at once when the engine has started anew', async () => {
    const { engine, upstream } = await halfOpen();
    expect(engine.chats()).toBe(6);
    expect(upstream).toMatchObject({ limit: 1, free: 1 });
  });

  it('is half-open at once when somebody listens there again', async () => {
    const { engine, becomes, upstream, changes } = await tripped();
    await engine.stop();
    const before = changes();
    // One question may have been on its way; the next ones are answered by nobody.
    await vi.waitFor(() => expect(changes()).toBeGreaterThan(before + 2), PATIENCE);
    await startEngine({}, engine.port);
    await becomes('ready');
    expect(upstream.status().breaker).toBe('half_open');
  });

  it('lets one job through at a time, and is closed by those that are answered', async () => {
    const { upstream } = await halfOpen();
    for (const breaker of ['half_open', 'closed']) {
      const slot = upstream.acquire();
      expect(upstream).toMatchObject({ free: 0, isAble: false });
      expect(slot.report(ANSWERED)).toBe(ANSWERED);
      slot.release();
      expect(upstream.status().breaker).toBe(breaker);
    }
    expect(upstream).toMatchObject({ limit: 4, free: 4 });
  });

  it('is opened again by one that fails, which costs that job no try', async () => {
    const { upstream, engine } = await halfOpen();
    const chats = engine.chats();
    const told = upstream.acquire().report(BROKEN);
    expect(told).toMatchObject({ ending: { failure: { burns: 'spare' } } });
    expect(upstream.status()).toMatchObject({ breaker: 'open', state: 'gone' });
    expect(engine.chats()).toBe(chats);
  });

  it('is none the wiser by a job that was dropped, and lets the next one through', async () => {
    const { upstream } = await halfOpen();
    upstream.acquire().release();
    expect(upstream).toMatchObject({ free: 1, isAble: true });
    expect(upstream.status().breaker).toBe('half_open');
  });

  it('is closed by a job that streams for a while', async () => {
    const { upstream } = await halfOpen();
    const slot = upstream.acquire();
    await vi.waitFor(() => {
      slot.sawToken();
      expect(upstream.status().breaker).toBe('closed');
    }, PATIENCE);
    expect(upstream.running).toBe(1);
  });

  it('is closed by canaries where no job comes', async () => {
    const { upstream, engine } = await halfOpen();
    await vi.waitFor(() => expect(upstream.status().breaker).toBe('closed'), PATIENCE);
    expect(engine.chats()).toBe(8);
  });

  it('is half-open at once for a worker that has just come', async () => {
    const { url } = await startEngine();
    const { upstream, becomes } = watch(url, { openMs: NEVER_MS });
    upstream.follow({ kind: 'open', trips: 1, retryInMs: NEVER_MS });
    await becomes('ready');
    expect(upstream.status().breaker).toBe('half_open');
  });

  it('is opened by others, and closed by others', async () => {
    const engine = await startEngine();
    const { upstream, becomes } = watch(engine.url, { openMs: NEVER_MS });
    await becomes('ready');
    upstream.follow({ kind: 'open', trips: 1, retryInMs: NEVER_MS });
    expect(upstream.status()).toMatchObject({ state: 'gone', breaker: 'open' });
    upstream.follow({ kind: 'closed', trips: 1, retryInMs: 0 });
    await becomes('ready');
    expect(upstream).toMatchObject({ free: 4 });
    expect(engine.chats()).toBe(6);
  });
});

describe('an engine that refuses a job as it has too many', () => {
  it('gets as many as it has kept, and is not in doubt', async () => {
    const { url } = await startEngine();
    const { upstream, becomes, states } = watch(url);
    await becomes('ready');
    const slots = Array.from({ length: 4 }, () => upstream.acquire());
    for (const slot of slots.slice(2)) {
      slot.report(BUSY);
      slot.release();
    }
    expect(upstream).toMatchObject({ isReady: true, limit: 2, free: 0 });
    expect(upstream.status().breaker).toBe('closed');
    expect(states).toEqual(['warming', 'ready']);
  });

  it('gets none for a while where others have filled it', async () => {
    const { url } = await startEngine();
    const { upstream, becomes } = watch(url);
    await becomes('ready');
    const slot = upstream.acquire();
    slot.report(BUSY);
    slot.release();
    expect(upstream).toMatchObject({ isReady: true, isAble: false, limit: 1, free: 0 });
    await vi.waitFor(() => expect(upstream.free).toBe(1), PATIENCE);
  });
});

describe('an engine that is silent', () => {
  it('is asked for a token now and then', async () => {
    const engine = await startEngine();
    const { becomes, states } = watch(engine.url, { canaryEveryMs: 5 });
    await becomes('ready');
    await vi.waitFor(() => expect(engine.chats()).toBeGreaterThan(6), PATIENCE);
    expect(states).toEqual(['warming', 'ready']);
  });

  it('is not asked while tokens come', async () => {
    const engine = await startEngine();
    const { upstream, becomes } = watch(engine.url, { canaryEveryMs: 2_000 });
    await becomes('ready');
    const slot = upstream.acquire();
    const began = performance.now();
    await vi.waitFor(
      () => {
        slot.sawToken();
        expect(performance.now() - began).toBeGreaterThan(2_500);
      },
      { timeout: 20_000, interval: 5 },
    );
    expect(engine.chats()).toBe(3);
  });

  it('is gone when it hangs, though nothing runs', async () => {
    const engine = await startEngine();
    const { becomes, was, states } = watch(engine.url, { canaryEveryMs: 5, canaryTimeoutMs: 60 });
    await becomes('ready');
    engine.does.chat = () => {};
    await was('gone');
    expect(states.slice(0, 4)).toEqual(['warming', 'ready', 'suspect', 'gone']);
  });

  it('is not gone when only the canary has to wait', async () => {
    const engine = await startEngine();
    const { upstream, becomes } = watch(engine.url, { canaryTimeoutMs: 60 });
    await becomes('ready');
    const slot = upstream.acquire();
    engine.does.chat = () => {};
    const streaming = setInterval(() => slot.sawToken(), 2);
    onTestFinished(() => clearInterval(streaming));
    slot.report(failed(failureOfTimeout('idle', 1)));
    expect(upstream.isReady).toBe(false);
    await becomes('ready');
  });
});

describe('an engine whose process', () => {
  it('has started anew is warmed anew', async () => {
    const engine = await startEngine();
    const { becomes, goesThrough } = watch(engine.url);
    await becomes('ready');
    engine.does.startedAtS = 200;
    await goesThrough('warming', 'ready', 'starting', 'warming', 'ready');
    expect(engine.chats()).toBe(6);
  });

  it('is killed is gone, and is warmed when another one answers there', async () => {
    const first = await startSimulator();
    const { becomes, states } = watch(first.url, { warmupRequests: 1 });
    await becomes('ready');
    first.kill('SIGKILL');
    await becomes('gone');
    await startSimulator(`--port=${first.port}`);
    await becomes('ready');
    expect(states.slice(-2)).toEqual(['warming', 'ready']);
  }, 60_000);

  it('is frozen is gone, and ready when it is thawed', async () => {
    const frozen = await startSimulator();
    const { becomes } = watch(frozen.url, { canaryEveryMs: 20, canaryTimeoutMs: 300 });
    await becomes('ready');
    frozen.kill('SIGSTOP');
    await becomes('gone');
    frozen.kill('SIGCONT');
    await becomes('ready');
  }, 60_000);
});

describe('an engine with another model', () => {
  it('than the configured one is not ready', async () => {
    const engine = await startEngine();
    const servedModel = createServedModel('configured');
    const { becomes } = watch(engine.url, { servedModel });
    await becomes('gone');
    engine.does.models = ['adapter', 'configured'];
    await becomes('ready');
    expect(engine.chats()).toBe(3);
  });

  it('than the other engines is not ready', async () => {
    const servedModel = createServedModel(undefined);
    const one = watch((await startEngine()).url, { servedModel });
    await one.becomes('ready');
    const other = watch((await startEngine({ models: ['n'] })).url, { servedModel });
    await other.becomes('gone');
    expect(one.upstream.isReady).toBe(true);
  });

  it('than the other engines is not ready either when both are warmed at once', async () => {
    const servedModel = createServedModel(undefined);
    const first = Promise.withResolvers<ServerResponse>();
    const late = await startEngine({ models: ['n'], chat: first.resolve });
    const other = watch(late.url, { servedModel, warmupRequests: 1 });
    const waiting = await first.promise;
    const one = watch((await startEngine()).url, { servedModel });
    await one.becomes('ready');
    waiting.end(WHOLE);
    await other.becomes('gone');
    expect(other.states).toEqual(['warming', 'gone']);
  });

  it('is given up when a canary finds it, and taken back with the right one', async () => {
    const engine = await startEngine();
    const { becomes } = watch(engine.url, { canaryEveryMs: 5 });
    await becomes('ready');
    engine.does.models = ['n'];
    await becomes('gone');
    engine.does.models = ['m'];
    await becomes('ready');
  });
});
