import type { Found, Placement, Submission } from '@qarr/job-store';
import { NO_LOAD, placeFound, tierSnapshot, workerStatusSchema } from '@qarr/router-core';
import type { AdmissionRequest, NewJob, TierLoad, TierStatus } from '@qarr/router-core';
import { describe, expect, it } from 'vitest';
import { admissionRequest, placeJob } from './place-job.ts';
import type { Placed } from './place-job.ts';

const worker = workerStatusSchema.parse({
  id: 'w',
  host: 'h',
  pid: 1,
  slots: 4,
  running: 0,
  breaker: 'closed',
  upstream: 'http://127.0.0.1:1',
  model: 'm',
  max_model_len: null,
  service_ms: null,
  tokens_per_s: 100,
  output_tokens: 30,
});
const status = (name: string): TierStatus => ({
  name,
  depth: 0,
  load: NO_LOAD,
  workers: [worker],
});
const asked: AdmissionRequest = {
  tier: 'fast',
  fallback: 'up',
  class: 'interactive',
  queueTimeoutMs: 10_000,
  tokens: 50,
  fits: { fast: true, precise: true },
  random: 0.5,
};
const busy: TierLoad = {
  ...NO_LOAD,
  running: { ...NO_LOAD.running, interactive: { jobs: 4, tokens: 200 } },
};
const alerting: Found = { load: { ...busy, isAlerting: true }, ahead: { jobs: 0, tokens: 0 } };
const tooMuch: Found = { load: busy, ahead: { jobs: 20, tokens: 1_000 } };

/** Places a job in a store that answers one after another, and the last one from then on. */
async function place(
  answers: (Submission['kind'] | { why: 'wait' | 'alert' | 'fallback' | 'depth'; found: Found })[],
  { known = [status('fast'), status('precise')], newer = null as TierStatus[] | null } = {},
): Promise<{ placed: Placed; tried: (Placement['limits'] & { tier: string; from?: string })[] }> {
  const tried: (Placement['limits'] & { tier: string; from?: string })[] = [];
  let statuses = known;
  const placed = await placeJob(
    { tier: 'fast', class: 'interactive' } as NewJob,
    { asked, onMade() {} },
    {
      store: {
        async submit(job, { limits, pace }) {
          const from = job.rerouted?.from;
          tried.push({ tier: job.tier, ...limits, ...(from === undefined ? {} : { from }) });
          const answer = answers.length > 1 ? answers.shift() : answers[0];
          if (typeof answer === 'object') return { kind: 'full', why: answer.why, ...answer.found };
          const told = placeFound(pace, { class: job.class, ...tooMuch });
          return { kind: 'created', jobId: 'job_1', place: told, found: tooMuch };
        },
      },
      watch: {
        statuses: () => statuses,
        snapshots: () => statuses.map(tierSnapshot),
        learn: () => {},
        async freshen() {
          if (newer === null) return false;
          statuses = newer;
          return true;
        },
      },
      config: { admission: { depthMax: 100, waitShareMax: 0.8, fallbackShareMax: 0.2 } },
    },
  );
  return { placed, tried };
}

describe('placing a job', () => {
  it('writes it to its tier, and tells its place by what it found there', async () => {
    const { placed, tried } = await place(['created']);
    expect(tried).toMatchObject([{ tier: 'fast' }]);
    expect(placed).toMatchObject({
      kind: 'submitted',
      tier: 'fast',
      rerouted: null,
      submission: { place: { position: 21, estimatedWaitMs: 10_500 } },
    });
  });

  it('sends it elsewhere when its tier alerts by the time it is written', async () => {
    const { placed, tried } = await place([{ why: 'alert', found: alerting }, 'created']);
    expect(tried).toMatchObject([
      { tier: 'fast', whileAlerting: false, fallbackJobsMax: null },
      { tier: 'precise', from: 'fast', whileAlerting: false, fallbackJobsMax: 1 },
    ]);
    expect(placed).toMatchObject({
      tier: 'precise',
      rerouted: { from: 'fast', reason: 'depth_alert' },
    });
  });

  it('takes it back to its tier, alert or not, when no other tier has room after all', async () => {
    const full: Found = { load: { ...NO_LOAD, fallbackJobs: 1 }, ahead: { jobs: 0, tokens: 0 } };
    const { placed, tried } = await place([
      { why: 'alert', found: alerting },
      { why: 'fallback', found: full },
      'created',
    ]);
    expect(tried.at(-1)).toMatchObject({ tier: 'fast', whileAlerting: true });
    expect(tried).toHaveLength(3);
    expect(placed).toMatchObject({ tier: 'fast', rerouted: null });
  });

  it('refuses it by what was found where it is written, without asking again', async () => {
    const only = { known: [status('fast')] };
    const { placed, tried } = await place([{ why: 'wait', found: tooMuch }], only);
    expect(tried).toHaveLength(1);
    expect(placed).toMatchObject({ kind: 'refuse', code: 'overloaded', waitMs: 10_500 });
  });

  it('comes to an end, also where others are faster each time', async () => {
    const { placed, tried } = await place([
      { why: 'depth', found: { load: busy, ahead: { jobs: 0, tokens: 0 } } },
    ]);
    expect(tried).toHaveLength(6);
    expect(placed).toMatchObject({ kind: 'refuse', code: 'queue_full' });
  });

  it('refuses nobody by figures that are old, and asks nothing to refuse by new ones', async () => {
    const waiting = { ...NO_LOAD.waiting, standard: { jobs: 100, tokens: 100 } };
    const full = [{ ...status('fast'), load: { ...NO_LOAD, waiting } }];
    const better = await place(['created'], { known: full, newer: [status('fast')] });
    expect(better.placed).toMatchObject({ kind: 'submitted' });
    const still = await place(['created'], { known: full, newer: full });
    expect(still.placed).toMatchObject({ kind: 'refuse', code: 'queue_full', depth: 100 });
    expect(still.tried).toEqual([]);
  });
});

describe('what admission knows of a request', () => {
  const features = { words: 1, code: false, maxTokens: 100, temperature: 0, promptTokens: 160 };
  const route = {
    tier: 'fast',
    requestedTier: null,
    reasons: [],
    features,
    fits: { fast: true },
    engineRequest: { messages: [], max_tokens: 100, temperature: 0 },
    droppedMessages: 0,
  };
  const job = { class: 'standard', fallback: 'up', queueTimeoutMs: 5 } as const;

  it.each([
    ['as many tokens as may be asked for, at most', [], {}, 110],
    ['those that answers of the tier have', [worker], {}, 40],
    ['those that it must have', [worker], { min_tokens: 80 }, 90],
    ['all of them where it never stops', [worker], { ignore_eos: true }, 110],
    ['and of each choice', [], { n: 3 }, 310],
    ['and what each must have', [worker], { n: 3, ignore_eos: true }, 310],
  ])('its cost counts %s', (_name, workers, fields, tokens) => {
    const watch = { statuses: () => [{ ...status('fast'), workers }] };
    const engineRequest = { ...route.engineRequest, ...fields };
    const deps = { watch, random: () => 0.25 };
    expect(admissionRequest({ ...route, engineRequest }, job, deps)).toEqual({
      tier: 'fast',
      ...job,
      tokens,
      fits: { fast: true },
      random: 0.25,
    });
  });
});
