/** Who hears of an alert, and which are kept quiet, by Alertmanager itself. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { alertmanagerCommand, findTool, runPrometheusTool } from '../harness/prometheus-tools.ts';
import { filesOf, readRules } from '../harness/watching.ts';
import { waitUntil } from '../harness/wait-until.ts';

const CONFIG = 'deploy/alertmanager/alertmanager.yml';
const command = alertmanagerCommand();

it('knows only alerts that there are', () => {
  const [{ text } = { text: '' }] = filesOf(CONFIG);
  const names = [...text.matchAll(/"Qarr(?:\((.+)\)|(\w+))"/g)].flatMap(([, several, one = '']) =>
    (several?.split('|') ?? [one]).map((name) => `Qarr${name}`),
  );
  expect(names.length).toBeGreaterThan(10);
  const known = new Set(readRules().map(({ alert }) => alert));
  expect(names.filter((name) => !known.has(name))).toEqual([]);
});

describe.skipIf(findTool('amtool') === null)('Alertmanager', () => {
  it('accepts the configuration, and sends each severity to its receiver', () => {
    expect(runPrometheusTool('amtool', ['check-config', CONFIG])).toMatchObject({ code: 0 });
    for (const severity of ['page', 'warning']) {
      const { stdout } = runPrometheusTool('amtool', [
        'config',
        'routes',
        'test',
        `--config.file=${CONFIG}`,
        `severity=${severity}`,
        'tier=fast',
        'alertname=QarrQueueDeep',
      ]);
      expect(stdout.trim()).toBe(severity);
    }
  });

  it.skipIf(command === null)(
    'keeps quiet what follows from something worse in the same tier, and nothing else',
    async () => {
      const url = await startAlertmanager();
      await raise(url, [
        // A tier for each, so that nothing has two reasons to be quiet.
        { alertname: 'QarrTierWithoutWorker', tier: 'dead' },
        { alertname: 'QarrQueueDeep', tier: 'dead' },
        { alertname: 'QarrJobsFail', tier: 'dead' },
        { alertname: 'QarrTierWithoutEngine', tier: 'idle' },
        { alertname: 'QarrQueueStaysDeep', tier: 'idle' },
        { alertname: 'QarrBreakerOpen', tier: 'idle', upstream: 'http://a' },
        { alertname: 'QarrQueueStaysDeep', tier: 'busy' },
        { alertname: 'QarrQueueDeep', tier: 'busy' },
        { alertname: 'QarrFirstTokenLate', tier: 'busy' },
        { alertname: 'QarrQueueDeep', tier: 'well' },
        { alertname: 'QarrBreakerOpen', tier: 'well', upstream: 'http://b' },
        { alertname: 'QarrEngineStuck', tier: 'well', instance: 'a:8000' },
        { alertname: 'QarrKvCacheFull', tier: 'well', instance: 'a:8000' },
        { alertname: 'QarrKvCacheFull', tier: 'well', instance: 'b:8000' },
        { alertname: 'QarrWebhooksWait' },
      ]);
      expect(await quiet(url, 15)).toEqual([
        'QarrBreakerOpen idle',
        'QarrFirstTokenLate busy',
        'QarrKvCacheFull well a:8000',
        'QarrQueueDeep busy',
        'QarrQueueDeep dead',
        'QarrQueueStaysDeep idle',
      ]);
      // One process that is cut off says nothing of all others.
      await raise(url, [
        { alertname: 'QarrRedisUnreachable', instance: 'w-1:9464' },
        { alertname: 'QarrProcessDown', instance: 'api-2:9464' },
      ]);
      expect(await quiet(url, 17)).toHaveLength(6);
      await raise(url, [{ alertname: 'QarrRedisDown' }]);
      const all = await quiet(url, 18);
      expect(all).toHaveLength(16);
      expect(all.filter((name) => /RedisDown|ProcessDown/.test(name))).toEqual([]);
    },
  );
});

/** On a free port of this machine, with its data in a folder of its own. */
async function startAlertmanager(): Promise<string> {
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'qarr-alertmanager-'));
  const [program = '', ...before] = command ?? [];
  const child = spawn(
    program,
    [
      ...before,
      `--config.file=${join(import.meta.dirname, '../..', CONFIG)}`,
      `--storage.path=${folder}`,
      `--web.listen-address=127.0.0.1:${port}`,
      // No gossip with others.
      '--cluster.listen-address=',
    ],
    { stdio: 'ignore' },
  );
  const ended = once(child, 'exit');
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await ended;
    rmSync(folder, { recursive: true });
  });
  const url = `http://127.0.0.1:${port}`;
  await waitUntil('Alertmanager is ready', () =>
    fetch(`${url}/-/ready`).then(
      ({ ok }) => ok,
      () => false,
    ),
  );
  return url;
}

async function raise(url: string, alerts: readonly Record<string, string>[]): Promise<void> {
  const response = await fetch(`${url}/api/v2/alerts`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(alerts.map((labels) => ({ labels, startsAt: new Date() }))),
  });
  expect(response.status).toBe(200);
}

/** What is kept quiet, once so many alerts are known. */
async function quiet(url: string, total: number): Promise<string[]> {
  const alerts = await waitUntil('all alerts are known', async () => {
    const known = (await (await fetch(`${url}/api/v2/alerts`)).json()) as {
      labels: Record<string, string>;
      status: { inhibitedBy: string[] };
    }[];
    return known.length === total ? known : null;
  });
  return alerts
    .filter(({ status }) => status.inhibitedBy.length > 0)
    .map(({ labels: { alertname, tier, instance } }) =>
      [alertname, tier, instance].filter((part) => part !== undefined).join(' '),
    )
    .toSorted();
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
