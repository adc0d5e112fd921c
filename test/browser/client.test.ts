/** The published client in a real browser, against the real API. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { StreamEvent } from '@qarr/client';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { buildClient } from '../../packages/client/build.ts';
import { startApiWorld } from '../harness/api.ts';
import type { ApiWorld, TestWorker } from '../harness/api.ts';
import { launchChromium } from '../harness/chromium.ts';
import { startPageServer } from '../harness/page-server.ts';
import type { PageServer } from '../harness/page-server.ts';
import { startTcpProxy } from '../harness/tcp-proxy.ts';
import { waitUntil } from '../harness/wait-until.ts';

let world: ApiWorld;
let worker: TestWorker;
let browser: Browser;
let pages: PageServer;
const stops: (() => Promise<unknown>)[] = [];
beforeAll(async () => {
  browser = await launchChromium();
  stops.push(() => browser.close());
  const clientFolder = await mkdtemp(path.join(tmpdir(), 'qarr-client-'));
  stops.push(() => rm(clientFolder, { recursive: true }));
  await buildClient(clientFolder);
  pages = await startPageServer({ apiUrl: () => world.api.url, clientFolder });
  stops.push(() => pages.stop());
  world = await startApiWorld({ QARR_CORS_ORIGINS: pages.url });
  stops.push(() => world.stop());
  worker = await world.startWorker('fast');
});
afterAll(async () => {
  for (const stop of stops.toReversed()) await stop();
});

type LoggedEvent = Extract<StreamEvent, { seq: number }>;

/** A page whose mistakes fail the test. */
async function openPage(address: string): Promise<Page> {
  const page = await browser.newPage();
  const problems: string[] = [];
  page.on('pageerror', (error) => problems.push(String(error)));
  onTestFinished(async () => {
    await page.close();
    expect(problems).toEqual([]);
  });
  await page.goto(`${pages.url}/pages/${address}`);
  return page;
}

function expectWhole(events: readonly LoggedEvent[], text: string): void {
  expect(events.map(({ seq }) => seq)).toEqual(events.map((_, index) => index + 1));
  expect(events.map((event) => (event.type === 'delta' ? event.text : '')).join('')).toBe(text);
  expect(events.at(-1)).toMatchObject({ type: 'completed' });
}

it('submits a job, and goes on with it after its page was loaded anew', async () => {
  // Another origin than that of the page, over a connection that is cut.
  const proxy = await startTcpProxy({ targetPort: world.api.port });
  onTestFinished(() => proxy.stop());
  const page = await openPage(`client.html?api=http://127.0.0.1:${proxy.port}`);
  const state = async () =>
    JSON.parse((await page.evaluate(`sessionStorage.getItem('state')`)) ?? '{}') as {
      loads: number;
      events: LoggedEvent[];
    };
  const attempt = await worker.next();
  let text = '';
  const say = async (word: string) => {
    text += word;
    await attempt.say(word);
  };
  for (const time of [1, 2]) {
    await say(`before ${time}, `);
    await waitUntil(
      'it has arrived',
      async () => (await state()).events.length === 2 + 2 * time - 1,
    );
    // What is said while the page is not there is neither lost nor doubled.
    await Promise.all([page.reload(), say(`meanwhile ${time}, `)]);
  }
  expect(proxy.reset()).toBeGreaterThan(0);
  await say('end.');
  await attempt.complete();
  await page.waitForFunction(`document.title.startsWith('done')`);
  expect(await page.title()).toBe(`done: ${text}`);
  const { loads, events } = await state();
  expect(loads).toBe(3);
  expectWhole(events, text);
});

it('follows a job without the client, by EventSource', async () => {
  const submitted = await fetch(`${world.api.url}/v1/jobs`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ prompt: 'Hello', tier: 'fast' }),
  });
  const { id } = (await submitted.json()) as { id: string };
  const attempt = await worker.next(id);
  const page = await openPage(`event-source.html?job=${id}`);
  await attempt.say('One, ');
  await page.waitForFunction('events.length === 3');
  expect(pages.cut()).toBe(1);
  await attempt.say('two.');
  await attempt.complete();
  await page.waitForFunction(`document.title === 'done'`);
  expectWhole(await page.evaluate('events'), 'One, two.');
});
