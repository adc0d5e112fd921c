/** What an attempt learns of the ones before it, when it is to carry their answer on. */
import type { AnswerDelta, AttemptLog, Claim, WorkerStore } from '@qarr/job-store';
import type { NewJob } from '@qarr/router-core';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readLog, textOf } from '../harness/job-log.ts';
import { ANYWHERE, createStores, newJob } from '../harness/store.ts';

describe('an attempt that carries on', () => {
  it('gets the text and the tokens that were published, and no reset is written', async () => {
    const { stores, store, worker } = await both();
    const job = await submitted(store, { onInterrupt: 'continue' });
    await attempt(worker, job, [
      { text: 'Hel', tokenIds: [5, 6] },
      { text: 'lo', tokenIds: [7] },
    ]);
    const second = await attempt(worker, job, [{ text: ', you', tokenIds: [8, 9] }]);
    expect(second.soFar).toEqual({
      text: 'Hello',
      tokenIds: [5, 6, 7],
      hasMore: false,
      continued: 1,
    });
    const third = await attempt(worker, job, []);
    expect(third.soFar).toMatchObject({ text: 'Hello, you', continued: 2 });
    // It added nothing, so there is no new joint.
    expect((await attempt(worker, job, [])).soFar?.continued).toBe(2);
    expect(third.soFar?.tokenIds).toEqual([5, 6, 7, 8, 9]);
    const events = await readLog({ ...stores, jobId: job.id });
    expect(events.map(({ type }) => type)).not.toContain('reset');
    expect(textOf(events)).toBe('Hello, you');
  });

  it('begins anew where nothing was published, and where the job restarts', async () => {
    const { store, worker } = await both();
    const silent = await submitted(store, { onInterrupt: 'continue' });
    await attempt(worker, silent, []);
    expect((await attempt(worker, silent, [])).soFar).toBeNull();

    const restarting = await submitted(store, { onInterrupt: 'restart' });
    await attempt(worker, restarting, [{ text: 'Hel', tokenIds: [1] }]);
    expect((await attempt(worker, restarting, [])).soFar).toBeNull();
  });

  it('knows no tokens where one engine has not told all of them', async () => {
    const { store, worker } = await both();
    const job = await submitted(store, { onInterrupt: 'continue' });
    await attempt(worker, job, [{ text: 'Hel', tokenIds: [1] }]);
    await attempt(worker, job, [{ text: 'lo' }]);
    expect((await attempt(worker, job, [])).soFar).toMatchObject({ text: 'Hello', tokenIds: null });
  });

  it.each<[string, AnswerDelta]>([
    ['reasoning', { text: '', reasoning: 'so' }],
    ['a tool call', { text: '', toolCalls: [{ index: 0, id: 'call' }] }],
    [
      'log probabilities',
      { text: 'a', logprobs: { content: [{ token: 'a', logprob: -1, top_logprobs: [] }] } },
    ],
    ['a second choice', { text: 'a', index: 1 }],
  ])('sees that there was %s', async (_name, delta) => {
    const { store, worker } = await both();
    const job = await submitted(store, { onInterrupt: 'continue' });
    await attempt(worker, job, [delta]);
    expect((await attempt(worker, job, [])).soFar?.hasMore).toBe(true);
  });

  it('never gets tokens that lag behind the text, however both came', async () => {
    const { store, worker } = await both();
    // A token is one letter here, so the text of tokens is known.
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', '\u{1F642}'), maxLength: 20_000 });
    const held = fc.record({
      text: letters,
      heldBack: fc.nat(5),
      perDelta: fc.integer({ min: 1, max: 9_000 }),
    });
    await fc.assert(
      fc.asyncProperty(held, async ({ text, heldBack, perDelta }) => {
        const job = await submitted(store, { onInterrupt: 'continue' });
        await attempt(worker, job, deltasOf(text, { heldBack, perDelta }));
        const { soFar } = await attempt(worker, job, []);
        if (soFar === null) return;
        const told = (soFar.tokenIds ?? []).map((id) => String.fromCodePoint(id)).join('');
        expect(told.startsWith(soFar.text)).toBe(true);
        expect(text.startsWith(told)).toBe(true);
      }),
      { numRuns: 40 },
    );
  });

  it('comes before jobs that have not had their turn', async () => {
    const { store, worker, stores } = await both();
    const order: string[] = [];
    const returning = await submitted(store);
    const others = [await submitted(store), await submitted(store)];
    const done = Promise.withResolvers<void>();
    const consumer = worker.consume({
      queue: 'foreground',
      concurrency: 1,
      paused: false,
      async deliver({ jobId }) {
        order.push(jobId);
        if (order.length === 4) done.resolve();
        return order.length === 1 ? { kind: 'again', delayMs: 1 } : { kind: 'done' };
      },
    });
    await done.promise;
    await consumer.pause();
    // The next one may have been on its way already.
    expect(order[0]).toBe(returning.id);
    expect(order.indexOf(returning.id, 1)).toBeLessThanOrEqual(2);
    expect(order).toHaveLength(4);
    expect(new Set(order)).toEqual(new Set([returning.id, ...others.map(({ id }) => id)]));
    expect(stores.errors).toEqual([]);
  });
});

async function both() {
  const stores = createStores();
  return { stores, store: await stores.producer(), worker: await stores.worker() };
}

async function submitted(
  store: Awaited<ReturnType<typeof both>>['store'],
  fields: Partial<NewJob> = {},
): Promise<NewJob> {
  const job = newJob(fields);
  await store.submit(job, ANYWHERE);
  return job;
}

let deliveries = 0;

/** Claims the job, publishes these deltas and gives it back. */
async function attempt(worker: WorkerStore, job: NewJob, deltas: readonly AnswerDelta[]) {
  deliveries += 1;
  const delivery = { worker: 'w', token: `t${deliveries}` };
  const claim: Claim = await worker.claim({ jobId: job.id, epoch: 1, class: 'standard' }, delivery);
  if (claim.kind !== 'run') throw new Error(`not claimed: ${claim.kind}`);
  const soFar = await claim.readSoFar();
  const log: AttemptLog = claim.openLog(() => {});
  for (const delta of deltas) log.append(delta);
  expect(await log.requeue({ burns: 'nothing' })).toBe('ok');
  return { soFar };
}

/** The letters of a text as an engine sends them that holds the last ones back. */
function deltasOf(
  text: string,
  { heldBack, perDelta }: { heldBack: number; perDelta: number },
): AnswerDelta[] {
  const letters = Array.from(text);
  const deltas: AnswerDelta[] = [];
  let out = 0;
  for (let at = 0; at < letters.length; at += perDelta) {
    const made = letters.slice(at, at + perDelta);
    const until = Math.max(out, Math.min(letters.length, at + perDelta) - heldBack);
    deltas.push({
      text: letters.slice(out, until).join(''),
      tokenIds: made.map((letter) => letter.codePointAt(0) ?? 0),
    });
    out = until;
  }
  return deltas;
}
