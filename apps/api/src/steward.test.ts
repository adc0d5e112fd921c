import type { MoveOutcome, PlacedJob } from '@qarr/job-store';
import { NO_TRACING } from '@qarr/process';
import { NO_LOAD } from '@qarr/router-core';
import type { TierLoad, TierSnapshot } from '@qarr/router-core';
import { describe, expect, it } from 'vitest';
import { createSteward } from './steward.ts';

const options = { depthMax: 100, waitShareMax: 0.8, fallbackShareMax: 0.2 };
const opened = { breaker: 'open', slots: 0 } as const;
const some = { ...NO_LOAD.waiting, standard: { jobs: 1, tokens: 1 } };
const WAITING: TierLoad = { ...NO_LOAD, waiting: some };

function tierOf(name: string, changes: Partial<TierSnapshot> = {}): TierSnapshot {
  return {
    name,
    load: WAITING,
    ahead: null,
    slots: 500,
    liveWorkers: 1,
    tokensPerS: 100,
    breaker: 'closed',
    retryInMs: null,
    ...changes,
  };
}

function jobOf(jobId: string, changes: Partial<PlacedJob> = {}): PlacedJob {
  return {
    jobId,
    owner: 'ann',
    tier: 'fast',
    epoch: 1,
    attempt: 0,
    requestId: 'req_1',
    traceparent: null,
    class: 'standard',
    fallback: 'any',
    fits: ['fast', 'precise'],
    tokens: 1,
    leftMs: 10_000,
    jobsAhead: 0,
    ...changes,
  };
}

/** A steward of two tiers, the first of them like this, in which these jobs wait. */
function world(
  fast: Partial<TierSnapshot>,
  {
    jobs = [jobOf('one')],
    answer = () => ({ kind: 'moved' }),
  }: { jobs?: readonly PlacedJob[]; answer?: (job: PlacedJob) => MoveOutcome } = {},
) {
  const tiers = [tierOf('fast', fast), tierOf('precise')];
  const asked: string[] = [];
  const pages: number[] = [];
  const counted: object[] = [];
  const learnt: [string, TierLoad][] = [];
  const lines: object[] = [];
  let nowMs = 1_000;
  const steward = createSteward({
    store: {
      async waitingIn(_tier, { from, count }) {
        pages.push(from);
        const next = from + count < jobs.length ? from + count : null;
        return { jobs: jobs.slice(from, from + count), next };
      },
      async move(job, { to, reason }) {
        asked.push(`${job.jobId} to ${to}: ${reason}`);
        return answer(job);
      },
    },
    watch: { snapshots: () => tiers, learn: (tier, load) => void learnt.push([tier, load]) },
    metrics: { rerouted: (move) => void counted.push(move) },
    options,
    tracing: NO_TRACING,
    log: { warn: () => {}, info: (line: object) => void lines.push(line) },
    now: () => nowMs,
  });
  return {
    asked,
    pages,
    counted,
    learnt,
    lines,
    tiers,
    async round(afterMs = 0) {
      nowMs += afterMs;
      await steward.round();
    },
  };
}

describe('the steward', () => {
  it('moves what waits while a breaker is open, counts it and says so without content', async () => {
    const { round, asked, counted, lines } = world(opened);
    await round();
    expect(asked).toEqual(['one to precise: breaker_open']);
    const move = { from: 'fast', to: 'precise', reason: 'breaker_open' };
    expect(counted).toEqual([move]);
    expect(lines).toEqual([
      {
        job_id: 'one',
        request_id: 'req_1',
        trace_id: undefined,
        tier: 'precise',
        class: 'standard',
        attempt: 0,
        state: 'rerouted',
        from: 'fast',
        reason: 'breaker_open',
      },
    ]);
  });

  it('asks nothing of a tier that takes jobs, nor of one in which none waits', async () => {
    const { round, pages, tiers } = world({});
    await round();
    tiers[0] = tierOf('fast', { ...opened, load: NO_LOAD });
    await round();
    expect(pages).toEqual([]);
  });

  it('gives a worker that is started anew some time', async () => {
    const { round, asked, tiers } = world({ slots: 0 });
    await round();
    await round(9_000);
    tiers[0] = tierOf('fast', { slots: 1 });
    await round(500);
    tiers[0] = tierOf('fast', { slots: 0 });
    await round(500);
    await round(9_500);
    expect(asked).toEqual([]);
    await round(500);
    expect(asked).toEqual(['one to precise: no_worker']);
  });

  it('counts nothing that somebody else has moved, or that stays', async () => {
    const { round, counted, lines } = world(opened, { answer: () => ({ kind: 'stays' }) });
    await round();
    expect(counted).toEqual([]);
    expect(lines).toEqual([]);
  });

  it('leaves a tier alone that was found full, and learns how full', async () => {
    const jobs = [jobOf('one'), jobOf('two')];
    const full = {
      kind: 'full',
      why: 'depth',
      load: NO_LOAD,
      ahead: { jobs: 0, tokens: 0 },
    } as const;
    const { round, asked, learnt } = world(opened, { jobs, answer: () => full });
    await round();
    expect(asked).toHaveLength(1);
    expect(learnt).toEqual([['precise', NO_LOAD]]);
  });

  it('does so much in one round, and goes on in the next', async () => {
    const jobs = Array.from({ length: 2_100 }, (_, at) => jobOf(`job-${at}`));
    const { round, asked, pages } = world(opened, { jobs });
    await round();
    expect(pages).toEqual([0, 250, 500, 750]);
    expect(asked).toHaveLength(50);
    await round();
    await round();
    await round();
    expect(pages.slice(8)).toEqual([2_000, 0, 250, 500, 750]);
  });
});
