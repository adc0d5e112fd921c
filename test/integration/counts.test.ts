/**
 * What a token and a job ask of Redis and of the kernel: a gate that counts and times nothing. `docs/performance.md` says why these counts decide what a token costs.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startLoad } from '../../bench/load/start-load.ts';
import type { Load } from '../../bench/load/start-load.ts';
import { createQarrPath } from '../../bench/paths/qarr.ts';
import type { Figures } from '../../bench/report/figures.ts';
import { startCounting } from '../../bench/scenarios/counts.ts';
import type { Counting } from '../../bench/scenarios/counts.ts';

/**
 * Each of them as a message would be 1. How many come together depends on how busy the machine is: the bench
 * looks for 0.06 and 0.03, on a quiet one.
 */
const PUBLISH_PER_TOKEN = { at50: 0.12, at200: 0.08 };
/** Beyond BullMQ's own: to count and submit, to claim, to finish, for a job of one token. */
const SCRIPTS_PER_JOB = 4;
/** What the clock asks for is measured for a second only, and may fall into another one by chance. */
const SCRIPTS_SLACK = 0.1;
const SUBSCRIBE_PER_JOB = 0;
const CLIENT_WRITES_PER_TOKEN = 1.25;

const STEP_MS = 20;
const TOKENS = 64;
const ROOT = join(import.meta.dirname, '../..');

let folder: string;
let load: Load;
let counting: Counting;
let at50: Figures;
let at200: Figures;
let jobs: Figures;

/** Each stream has one answer. */
const streams = (count: number) =>
  ({
    arrivals: { kind: 'closed', concurrency: count },
    requestsMax: count,
    tokens: TOKENS,
    stepMs: STEP_MS,
    forMs: 60_000,
  }) as const;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'qarr-counts-'));
  load = await startLoad();
  counting = await startCounting(
    createQarrPath({ name: 'qarr', root: ROOT }),
    { folder, signal: new AbortController().signal, runLoad: (options) => load.run(options) },
    { idleMs: 1_000 },
  );
  at50 = await counting.count(streams(50));
  at200 = await counting.count(streams(200));
  jobs = await counting.count({ ...streams(50), requestsMax: 500, tokens: 1, stepMs: 0 });
});

afterAll(async () => {
  await counting.stop();
  await load.stop();
  await rm(folder, { recursive: true, force: true });
});

it('publishes the tokens of many streams together', () => {
  expect(at50.publishPerToken).toBeLessThanOrEqual(PUBLISH_PER_TOKEN.at50);
  expect(at200.publishPerToken).toBeLessThanOrEqual(PUBLISH_PER_TOKEN.at200);
});

it('runs few scripts for a job', () => {
  expect(jobs.scriptsPerJob).toBeLessThanOrEqual(SCRIPTS_PER_JOB + SCRIPTS_SLACK);
});

it('subscribes to nothing for a job', () => {
  expect([at50, at200, jobs].map((figures) => figures.subscribePerJob)).toEqual(
    [0, 0, 0].map(() => SUBSCRIBE_PER_JOB),
  );
});

it('writes to a client about once for a token', () => {
  expect(at50.clientWritesPerToken).toBeLessThanOrEqual(CLIENT_WRITES_PER_TOKEN);
});
