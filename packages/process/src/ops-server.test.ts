import { connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { Counter, Registry } from 'prom-client';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ConfigurationError } from './configuration.ts';
import { startOpsServer } from './ops-server.ts';

async function start(registry = new Registry()) {
  const server = await startOpsServer({ host: '127.0.0.1', port: 0, registry });
  onTestFinished(() => server.stop());
  return { server, url: `http://127.0.0.1:${server.port}` };
}

/** The problem of starting there. */
async function problem(host: string, port: number): Promise<Error> {
  try {
    const server = await startOpsServer({ host, port, registry: new Registry() });
    await server.stop();
  } catch (error) {
    return error as Error;
  }
  throw new Error('There is no problem');
}

describe('the ops server', () => {
  it('shows the metrics', async () => {
    const registry = new Registry();
    new Counter({ name: 'qarr_test_total', help: 'Counts', registers: [registry] }).inc(3);
    const { url } = await start(registry);
    for (const path of ['/metrics', '/metrics?x=1']) {
      const response = await fetch(url + path);
      expect(response.status).toBe(200);
      expect(response.headers.get('content-type')).toBe(registry.contentType);
      expect(await response.text()).toContain('qarr_test_total 3');
    }
  });

  it('answers 500 when a metric cannot be collected, and lives on', async () => {
    const registry = new Registry();
    registry.registerMetric(
      new Counter({
        name: 'qarr_test_total',
        help: 'Counts',
        registers: [],
        collect: () => Promise.reject(new Error('no')),
      }),
    );
    const { url } = await start(registry);
    expect((await fetch(`${url}/metrics`)).status).toBe(500);
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
  });

  it('says that the process lives', async () => {
    const { url } = await start();
    const response = await fetch(`${url}/healthz`);
    expect({ status: response.status, body: await response.text() }).toEqual({
      status: 200,
      body: 'ok\n',
    });
  });

  it('says whether the process is ready, which one that lives need not be', async () => {
    let isReady = false;
    const server = await startOpsServer({
      host: '127.0.0.1',
      port: 0,
      registry: new Registry(),
      isReady: () => isReady,
    });
    onTestFinished(() => server.stop());
    const status = async (path: string) =>
      (await fetch(`http://127.0.0.1:${server.port}${path}`)).status;
    expect(await status('/readyz')).toBe(503);
    expect(await status('/healthz')).toBe(200);
    isReady = true;
    expect(await status('/readyz')).toBe(200);
  });

  it('is ready where nobody says otherwise', async () => {
    const { url } = await start();
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
  });

  it('answers 404 elsewhere', async () => {
    const { url } = await start();
    const response = await fetch(`${url}/metricsandmore`);
    expect(response.status).toBe(404);
    expect(await response.text()).toContain('/metrics');
  });

  it('takes any port for 0', async () => {
    const [first, second] = [await start(), await start()];
    expect(first.server.port).toBeGreaterThan(0);
    expect(first.server.port).not.toBe(second.server.port);
  });

  it('names the variable and the port when that is taken', async () => {
    const blocker = createServer();
    await new Promise<void>((resolve) => blocker.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void blocker.close());
    const { port } = blocker.address() as AddressInfo;
    const error = await problem('127.0.0.1', port);
    expect(error).toBeInstanceOf(ConfigurationError);
    expect(error.message).toBe(`OPS_PORT: port ${port} is taken; set another, or 0 for any`);
  });

  it.each([
    ['is not of this machine', '192.0.2.1', 'EADDRNOTAVAIL'],
    ['does not exist', 'host.invalid', 'ENOTFOUND'],
  ])('names the address when that %s', async (_name, host, code) => {
    const error = await problem(host, 0);
    expect(error).toBeInstanceOf(ConfigurationError);
    expect(error.message).toMatch(
      new RegExp(`^OPS_PORT: cannot listen on ${host}:0 \\((${code}|EAI_AGAIN)\\)$`),
    );
  });

  it('stops at once, also with connections that are open, and more than once', async () => {
    const { server } = await start();
    const socket = connect(server.port, '127.0.0.1');
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.on('error', () => {});
    await new Promise((resolve) => socket.once('connect', resolve));
    // A request that never ends.
    socket.write('GET /healthz HTTP/1.1\r\n');
    await Promise.all([server.stop(), server.stop()]);
    await server.stop();
    await closed;
    await expect(fetch(`http://127.0.0.1:${server.port}/healthz`)).rejects.toThrow('fetch failed');
  });
});
