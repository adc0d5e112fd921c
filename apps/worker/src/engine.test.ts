import type { EventEmitter } from 'node:events';
import type { ServerResponse } from 'node:http';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import type { EngineRequest } from '@qarr/router-core';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { NO_CAPABILITIES } from './capabilities.ts';
import {
  FINISH,
  PATIENCE,
  REQUEST,
  SHORT_MS,
  USAGE,
  engineAt,
  failedWith,
  reply,
  start,
  whole,
} from './engine-trial-for-test.ts';
import { DONE, delta, event, startHostileEngine } from './hostile-engine-for-test.ts';

describe('a request', () => {
  it('carries the allow-listed fields, the model and the stream options, and nothing else', async () => {
    const server = await startHostileEngine(({ response }) => reply(response, [FINISH, DONE]));
    const request: EngineRequest = {
      messages: [{ role: 'user', content: 'Hi', name: 'me' }],
      max_tokens: 5,
      temperature: 0,
      top_p: 0.9,
      top_k: 4,
      min_p: 0.1,
      presence_penalty: 0.2,
      frequency_penalty: 0.3,
      repetition_penalty: 1.1,
      seed: 7,
      stop: ['x'],
      min_tokens: 1,
      ignore_eos: true,
    };
    const engine = engineAt(`${server.url}/prefix/`);
    await start(engine, { request }).outcome;
    await start(engine, { request, capabilities: { countsContinuously: true } }).outcome;
    const [plain, continuous] = server.requests.map(({ body }) => JSON.parse(body) as unknown);
    const fixed = { ...request, model: 'served-model', stream: true };
    expect(plain).toEqual({ ...fixed, stream_options: { include_usage: true } });
    expect(continuous).toEqual({
      ...fixed,
      stream_options: { include_usage: true, continuous_usage_stats: true },
    });
    expect(server.requests[0]?.path).toBe('/prefix/v1/chat/completions');
    expect(server.requests[0]?.headers).toMatchObject({
      authorization: 'Bearer key',
      'content-type': 'application/json',
      'x-request-id': 'job_1-1',
    });
  });

  it('uses the connection of the one before', async () => {
    const server = await startHostileEngine(({ response }) => reply(response, [FINISH, DONE]));
    const engine = engineAt(server.url);
    for (let count = 0; count < 5; count += 1) {
      await start(engine).outcome;
      // The connection is free when its response has ended, which is a little later than [DONE].
      await vi.waitFor(() => expect(server.openConnections).toBe(1), PATIENCE);
      await turn();
    }
    expect(server).toMatchObject({ connections: 1, requests: { length: 5 } });
  });

  it('uses the connection of one that was refused', async () => {
    const server = await startHostileEngine(({ response }) => response.writeHead(400).end('no'));
    const engine = engineAt(server.url);
    for (let count = 0; count < 5; count += 1) {
      await start(engine).outcome;
      await turn();
    }
    expect(server).toMatchObject({ connections: 1, requests: { length: 5 } });
  });
});

describe('patience ends', () => {
  const late = { code: 'upstream_timeout', retryable: true, burns: 'try', engine: 'suspect' };
  const stages = {
    'without headers': { timeouts: { headersMs: SHORT_MS }, phase: 'headers', pieces: null },
    'without a first text': {
      timeouts: { firstTokenMs: SHORT_MS },
      phase: 'first token',
      pieces: [delta({ role: 'assistant', content: '' })],
    },
    'without a next event': {
      timeouts: { idleMs: SHORT_MS },
      phase: 'idle',
      pieces: [delta({ content: 'a' })],
    },
  };

  it.each(Object.entries(stages))('%s', async (_name, { timeouts, phase, pieces }) => {
    const server = await startHostileEngine(({ response }) => {
      if (pieces === null) return;
      response.writeHead(200).flushHeaders();
      for (const piece of pieces) response.write(piece);
    });
    const { ending } = await start(engineAt(server.url, { timeouts })).outcome;
    expect(ending).toEqual(failedWith(late));
    expect(ending).toHaveProperty(
      'failure.message',
      expect.stringContaining(`its ${phase} timeout`),
    );
    await vi.waitFor(() => expect(server.openConnections).toBe(0), PATIENCE);
  });

  it('without headers, whatever was announced', async () => {
    const server = await startHostileEngine(({ response }) => {
      response.writeEarlyHints({ link: '</a>; rel=preload' });
    });
    const { ending } = await start(engineAt(server.url, { timeouts: { headersMs: SHORT_MS } }))
      .outcome;
    expect(ending).toHaveProperty('failure.message', expect.stringContaining('headers timeout'));
    expect(ending).toEqual(failedWith(late));
  });

  it('without a first text, but not for want of headers, when those have come', async () => {
    const server = await startHostileEngine(({ response }) => {
      response.writeHead(200).flushHeaders();
    });
    const timeouts = { headersMs: 1_000, firstTokenMs: 1_500 };
    const { ending } = await start(engineAt(server.url, { timeouts })).outcome;
    expect(ending).toHaveProperty('failure.message', expect.stringContaining('first token'));
  });

  it('without a next event, but not for want of a first text, when that has come', async () => {
    const server = await startHostileEngine(({ response }) => {
      response.writeHead(200).write(delta({ content: 'a' }));
    });
    const timeouts = { firstTokenMs: 1_000, idleMs: 1_500 };
    const { ending } = await start(engineAt(server.url, { timeouts })).outcome;
    expect(ending).toHaveProperty('failure.message', expect.stringContaining('idle'));
  });

  it.each([
    ['first', { firstTokenMs: SHORT_MS }, []],
    ['next', { idleMs: SHORT_MS }, [delta({ content: 'a' })]],
  ])(
    'when only keep-alive comments come instead of the %s text',
    async (_name, timeouts, pieces) => {
      const server = await startHostileEngine(({ response }) => {
        response.writeHead(200).flushHeaders();
        for (const piece of pieces) response.write(piece);
        const beat = setInterval(() => response.write(': keep-alive\n\n'), 5);
        response.once('close', () => clearInterval(beat));
      });
      const { ending } = await start(engineAt(server.url, { timeouts })).outcome;
      expect(ending).toEqual(failedWith(late));
    },
  );

  it('not while events come', async () => {
    const pieces = 40;
    const server = await startHostileEngine(({ response }) => {
      response.writeHead(200).flushHeaders();
      let count = 0;
      const drip = setInterval(() => {
        count += 1;
        if (count <= pieces) response.write(delta({ content: 'x' }));
        else response.end(FINISH);
      }, 5);
      response.once('close', () => clearInterval(drip));
    });
    const run = start(
      engineAt(server.url, { timeouts: { headersMs: 2_000, firstTokenMs: 2_000, idleMs: 2_000 } }),
    );
    expect((await run.outcome).ending).toEqual(whole);
    expect(run.text).toBe('x'.repeat(pieces));
  });

  it('with an engine that keeps its connection after [DONE]', async () => {
    const server = await startHostileEngine(({ response }) => {
      response.writeHead(200).write(delta({ content: 'ok' }) + FINISH + DONE);
    });
    const run = start(engineAt(server.url));
    expect((await run.outcome).ending).toEqual(whole);
    await vi.waitFor(() => expect(server.openConnections).toBe(0), PATIENCE);
  });
});

describe('an engine that drips', () => {
  const text = delta({ content: 'a' });

  it('is given up when a window brings fewer tokens than it must', async () => {
    const server = await startHostileEngine(({ response }) => void response.write(text));
    const timeouts = { rateWindowMs: SHORT_MS, tokensPerWindowMin: 1 };
    const { ending } = await start(engineAt(server.url, { timeouts })).outcome;
    expect(ending).toEqual(failedWith({ code: 'upstream_timeout', retryable: true }));
    expect(JSON.stringify(ending)).toContain('minimum rate');
    await vi.waitFor(() => expect(server.openConnections).toBe(0), PATIENCE);
  });

  it('is not while it brings enough', async () => {
    const server = await startHostileEngine(({ response }) => {
      const drip = setInterval(() => response.write(text), 1);
      setTimeout(() => {
        clearInterval(drip);
        response.end(FINISH + DONE);
      }, 5 * SHORT_MS);
    });
    const timeouts = { rateWindowMs: 2 * SHORT_MS, tokensPerWindowMin: 1 };
    const { ending } = await start(engineAt(server.url, { timeouts })).outcome;
    expect(ending).toEqual(whole);
  });
});

describe('an engine that is gone', () => {
  const gone = {
    code: 'upstream_error',
    retryable: true,
    burns: 'spare',
    brokeOff: false,
    engine: 'gone',
  };

  it('refuses connections', async () => {
    const server = await startHostileEngine(() => {});
    const engine = engineAt(server.url);
    await server.stop();
    expect((await start(engine).outcome).ending).toEqual(failedWith(gone));
  });

  it('has no address', async () => {
    const engine = engineAt('http://engine.invalid:8000');
    expect((await start(engine).outcome).ending).toEqual(failedWith(gone));
  });

  it('accepts connections but never completes them', async () => {
    const silent = await startSilentServer();
    const engine = engineAt(`https://127.0.0.1:${silent.port}`, {
      timeouts: { connectMs: SHORT_MS },
    });
    expect((await start(engine).outcome).ending).toEqual(failedWith(gone));
  });

  it('does not speak TLS where it should', async () => {
    const server = await startHostileEngine(() => {});
    const engine = engineAt(server.url.replace('http:', 'https:'));
    expect((await start(engine).outcome).ending).toEqual(failedWith(gone));
  });
});

describe('an abort', () => {
  const aborted = { usage: null, ending: { kind: 'aborted' } };

  it('before the start sends nothing', async () => {
    const server = await startHostileEngine(() => {});
    const engine = engineAt(server.url);
    const signal = AbortSignal.abort();
    const outcome = engine.run(
      { request: REQUEST, soFar: null },
      {
        model: 'm',
        requestId: 'r',
        capabilities: NO_CAPABILITIES,
        signal,
        onDelta() {},
      },
    );
    expect(await outcome).toEqual(aborted);
    expect(server.connections).toBe(0);
  });

  it('at the start does not reach the engine, or leaves it at once', async () => {
    const server = await startHostileEngine(({ response, body }) => {
      if (body.includes('"seed":2')) reply(response, [FINISH, DONE]);
    });
    // The second request gets the only connection when the first one has let go of it.
    const engine = engineAt(server.url, { connections: 1 });
    const run = start(engine);
    run.abort();
    expect(await run.outcome).toEqual(aborted);
    const next = await start(engine, { request: { ...REQUEST, seed: 2 } }).outcome;
    expect(next.ending).toEqual(whole);
  });

  it('while connecting leaves no connection behind', async () => {
    const silent = await startSilentServer();
    const engine = engineAt(`https://127.0.0.1:${silent.port}`, { timeouts: { connectMs: 500 } });
    const run = start(engine);
    await vi.waitFor(() => expect(silent.open).toBe(1), PATIENCE);
    run.abort();
    expect(await run.outcome).toEqual(aborted);
    await vi.waitFor(() => expect(silent.open).toBe(0), PATIENCE);
  });

  it('before the headers closes the connection', async () => {
    const arrived = Promise.withResolvers<ServerResponse>();
    const server = await startHostileEngine(({ response }) => arrived.resolve(response));
    const run = start(engineAt(server.url));
    const response = await arrived.promise;
    const closed = once(response, 'close');
    run.abort();
    expect(await run.outcome).toEqual(aborted);
    await closed;
  });

  it('in the middle closes the connection, and keeps the usage so far', async () => {
    const arrived = Promise.withResolvers<ServerResponse>();
    const server = await startHostileEngine(({ response }) => {
      response
        .writeHead(200)
        .write(event({ choices: [{ delta: { content: 'a' } }], usage: USAGE }));
      arrived.resolve(response);
    });
    const run = start(engineAt(server.url));
    const response = await arrived.promise;
    const closed = once(response, 'close');
    await vi.waitFor(() => expect(run.text).toBe('a'), PATIENCE);
    run.abort();
    expect(await run.outcome).toEqual({ usage: USAGE, ending: { kind: 'aborted' } });
    await closed;
  });

  it('from inside a delta lets no other delta through', async () => {
    const server = await startHostileEngine(({ response }) => {
      response
        .writeHead(200)
        .write(delta({ content: 'a' }) + delta({ content: 'b' }) + FINISH + DONE);
    });
    const controller = new AbortController();
    const texts: string[] = [];
    const outcome = await engineAt(server.url).run(
      { request: REQUEST, soFar: null },
      {
        model: 'm',
        requestId: 'r',
        capabilities: NO_CAPABILITIES,
        signal: controller.signal,
        onDelta({ text }) {
          texts.push(text);
          controller.abort();
        },
      },
    );
    expect(outcome.ending).toEqual({ kind: 'aborted' });
    expect(texts).toEqual(['a']);
  });

  it('after the end changes nothing', async () => {
    const server = await startHostileEngine(({ response }) => reply(response, [FINISH, DONE]));
    const run = start(engineAt(server.url));
    const { ending } = await run.outcome;
    run.abort();
    expect(ending).toEqual(whole);
  });

  it('of a request that waits for a connection keeps the others', async () => {
    const first = Promise.withResolvers<ServerResponse>();
    const server = await startHostileEngine(({ response }) => {
      if (server.requests.length === 1) first.resolve(response);
      else reply(response, [FINISH, DONE]);
    });
    const engine = engineAt(server.url, { connections: 1 });
    const holder = start(engine);
    const response = await first.promise;
    const waiting = start(engine);
    const last = start(engine);
    waiting.abort();
    expect(await waiting.outcome).toEqual(aborted);
    reply(response, [FINISH, DONE]);
    expect((await holder.outcome).ending).toEqual(whole);
    expect((await last.outcome).ending).toEqual(whole);
  });
});

describe('stopping', () => {
  it('ends what runs as a failure, and refuses what comes later', async () => {
    const arrived = Promise.withResolvers<void>();
    const server = await startHostileEngine(() => arrived.resolve());
    const engine = engineAt(server.url);
    const run = start(engine);
    await arrived.promise;
    await engine.stop();
    expect((await run.outcome).ending).toMatchObject({ kind: 'failed' });
    expect((await start(engine).outcome).ending).toMatchObject({ kind: 'failed' });
    await vi.waitFor(() => expect(server.openConnections).toBe(0), PATIENCE);
  });
});

function once(emitter: EventEmitter, name: string): Promise<unknown> {
  return new Promise((resolve) => emitter.once(name, resolve));
}

/** Accepts connections and never says a word. */
async function startSilentServer(): Promise<{ port: number; readonly open: number }> {
  let open = 0;
  const sockets = new Set<{ destroy(): unknown }>();
  const server = createServer((socket) => {
    open += 1;
    sockets.add(socket);
    socket.on('error', () => {});
    socket.resume();
    socket.once('close', () => {
      open -= 1;
      sockets.delete(socket);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(async () => {
    const closed = new Promise((resolve) => server.close(resolve));
    for (const socket of sockets) socket.destroy();
    await closed;
  });
  return {
    port: (server.address() as AddressInfo).port,
    get open() {
      return open;
    },
  };
}
