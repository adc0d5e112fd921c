import { setImmediate as nextTurn } from 'node:timers/promises';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  type Answer,
  profileNamed,
  promptOf,
  startEngine,
  type TestEngine,
} from './engine-for-test.ts';

/** The times between the tokens of an answer. */
function gapsOf({ timesMs }: Answer): number[] {
  return timesMs.slice(1).map((time, index) => time - (timesMs[index] ?? 0));
}

function ask(engine: TestEngine, count: number, prompt: number, tokens: number) {
  return Array.from({ length: count }, (_, topic) =>
    engine.ask({ promptIds: promptOf(prompt, topic), tokens }),
  );
}

async function answersOf(asked: readonly { ended: Promise<Answer> }[]): Promise<Answer[]> {
  return Promise.all(asked.map(({ ended }) => ended));
}

test('a step takes what its profile says', async () => {
  const engine = startEngine();
  const answer = await engine.ask({ promptIds: promptOf(100), tokens: 3 }).ended;
  // 3 ms overhead and 8 ms weights, or 10 ms for 100 tokens; then some context.
  expect(answer.timesMs[0]).toBeCloseTo(13);
  expect(gapsOf(answer)).toEqual([expect.closeTo(11 + 0.0066), expect.closeTo(11 + 0.006666)]);
});

test('the time between tokens grows with the batch', async () => {
  const gaps: number[] = [];
  for (const count of [1, 64, 256]) {
    const answers = await answersOf(ask(startEngine(), count, 8, 30));
    gaps.push(gapsOf(answers[0] ?? expect.fail())[20] ?? 0);
  }
  expect(gaps[1]).toBeGreaterThan(gaps[0] ?? 0);
  expect(gaps[2]).toBeGreaterThan(2 * (gaps[1] ?? 0));
});

test('the time to the first token grows with the prompt and with the queue', async () => {
  const [short, long, queued] = await Promise.all(
    [
      { count: 1, prompt: 10 },
      { count: 1, prompt: 4000 },
      { count: 20, prompt: 10 },
    ].map(async ({ count, prompt }) => {
      const answers = await answersOf(ask(startEngine({ sequencesMax: 8 }), count, prompt, 10));
      return answers.at(-1)?.timesMs[0] ?? 0;
    }),
  );
  expect(long).toBeGreaterThan(10 * (short ?? 0));
  expect(queued).toBeGreaterThan(10 * (short ?? 0));
});

test('a long prompt slows the others down while it is computed', async () => {
  const engine = startEngine();
  const running = engine.ask({ promptIds: promptOf(10), tokens: 40 });
  await engine.pass(100);
  await engine.ask({ promptIds: promptOf(6000, 1), tokens: 1 }).ended;
  const gaps = gapsOf(await running.ended);
  expect(Math.max(...gaps)).toBeGreaterThan(10 * Math.min(...gaps));
});

test('a prompt that is known already is answered sooner, unless the salt differs', async () => {
  const engine = startEngine();
  const times: number[] = [];
  for (const cacheSalt of ['a', 'a', 'b']) {
    const startMs = engine.clock.now();
    const answer = await engine.ask({ promptIds: promptOf(2000), tokens: 1, cacheSalt }).ended;
    times.push((answer.timesMs[0] ?? 0) - startMs);
  }
  expect(times[1]).toBeLessThan((times[0] ?? 0) / 10);
  expect(times[2]).toBe(times[0]);
  expect(engine.metrics.prefixCacheQueries.read()).toBe(6000);
  expect(engine.metrics.prefixCacheHits.read()).toBe(1984);
});

test('a text that is continued elsewhere is found by what was generated too', async () => {
  const engine = startEngine();
  const promptIds = promptOf(100);
  const { tokenIds } = await engine.ask({ promptIds, tokens: 60 }).ended;
  const hits = engine.metrics.prefixCacheHits;
  await engine.ask({ promptIds: [...promptIds, ...tokenIds], tokens: 1 }).ended;
  // 159 of the 160 tokens were computed: nine blocks.
  expect(hits.read()).toBe(144);
});

test('noise is the seed’s and does not change the text', async () => {
  const answers = await Promise.all(
    [
      { jitter: 0.05, seed: 1 },
      { jitter: 0.05, seed: 1 },
      { jitter: 0.05, seed: 2 },
      { jitter: 0, seed: 1 },
    ].map((options) => startEngine(options).ask({ promptIds: promptOf(10), tokens: 20 }).ended),
  );
  const [one, again, other] = answers.map(({ timesMs }) => timesMs);
  expect(again).toEqual(one);
  expect(other).not.toEqual(one);
  expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
  const gaps = answers.map((answer) => Math.max(...gapsOf(answer)) / Math.min(...gapsOf(answer)));
  expect(gaps[0]).toBeGreaterThan(1.05);
  expect(gaps[3]).toBeLessThan(1.05);
});

test('an answer does not depend on load, preemption or the prefix cache', async () => {
  const question = fc.record({
    prompt: fc.integer({ min: 1, max: 120 }),
    topic: fc.nat(2),
    tokens: fc.integer({ min: 1, max: 60 }),
    priority: fc.nat(2),
    delayMs: fc.nat(300),
  });
  const circumstances = fc.record({
    kvBlocks: fc.integer({ min: 12, max: 40 }),
    sequencesMax: fc.integer({ min: 1, max: 8 }),
    batchedTokensMax: fc.integer({ min: 16, max: 256 }),
    schedulingPolicy: fc.constantFrom('fcfs' as const, 'priority' as const),
    prefixCaching: fc.boolean(),
  });
  let preemptions = 0;
  await fc.assert(
    fc.asyncProperty(
      circumstances,
      fc.array(question, { minLength: 1, maxLength: 12 }),
      async (options, questions) => {
        const crowded = startEngine(options);
        const calm = startEngine({ prefixCaching: false });
        await Promise.all(
          questions.map(async ({ prompt, topic, delayMs, ...rest }) => {
            const promptIds = promptOf(prompt, topic);
            await crowded.pass(delayMs);
            const answer = await crowded.ask({ promptIds, ...rest }).ended;
            const expected = await calm.ask({ promptIds, ...rest }).ended;
            expect(answer.tokenIds).toEqual(expected.tokenIds);
            expect(answer.text).toBe(expected.text);
            expect(answer.finish).toEqual(expected.finish);
          }),
        );
        preemptions += crowded.metrics.preemptions.read();
      },
    ),
    { numRuns: 60 },
  );
  // The property would say nothing of preemption if there was none.
  expect(preemptions).toBeGreaterThan(0);
}, 30_000);

test('an engine with nothing to do runs no step and holds no timer', async () => {
  const engine = startEngine();
  await engine.ask({ promptIds: promptOf(10), tokens: 2 }).ended;
  const steps = engine.metrics.iterationTokens.read().count;
  await engine.pass(10_000);
  expect(engine.metrics.iterationTokens.read().count).toBe(steps);
});

test('thousands of choices of a long prompt leave the process its turns', async () => {
  const engine = startEngine({ profile: profileNamed('instant'), batchedTokensMax: 8192 });
  const promptIds = promptOf(8000);
  const request = { choices: 500 };
  for (let choice = 0; choice < request.choices; choice += 1) {
    engine.ask({ promptIds, tokens: 1, request, sampling: { seeds: [choice] } });
  }
  let turns = 0;
  for (; engine.counts().running + engine.counts().waiting > 0; turns += 1) await nextTurn();
  // 4 million tokens, at most 32,768 and one more prompt in a turn.
  expect(turns).toBeGreaterThan(90);
  expect(engine.metrics.requestChoices.read()).toMatchObject({ count: 1, sum: 500 });
}, 30_000);

test('a cache that shrinks preempts, and everyone finishes once it has grown again', async () => {
  const calm = await answersOf(ask(startEngine(), 20, 200, 50));
  const engine = startEngine({ kvBlocks: 400 });
  const asked = ask(engine, 20, 200, 50);
  await engine.pass(500);
  expect(engine.metrics.kvUsage.read()).toBeGreaterThan(0.6);
  engine.resizeKv(40);
  await engine.pass(500);
  expect(engine.metrics.preemptions.read()).toBeGreaterThan(0);
  expect(engine.counts().running).toBeLessThan(4);
  engine.resizeKv(400);
  const answers = await answersOf(asked);
  expect(answers.map(({ text }) => text)).toEqual(calm.map(({ text }) => text));
  // Looking for one's own blocks after a preemption is not a query.
  expect(engine.metrics.prefixCacheQueries.read()).toBe(20 * 200);
  expect(engine.metrics.kvUsage.read()).toBe(0);
});

test('a sequence that never fits blocks the queue and no processor, until it leaves', async () => {
  const engine = startEngine({ kvBlocks: 10 });
  const endless = engine.ask({ promptIds: promptOf(100), tokens: 100 });
  await engine.pass(10_000);
  const behind = engine.ask({ promptIds: promptOf(1), tokens: 1 });
  await engine.pass(10_000);
  const steps = engine.metrics.iterationTokens.read().count;
  await engine.pass(10_000);
  expect(engine.metrics.iterationTokens.read().count).toBe(steps);
  expect(engine.metrics.running.read()).toBe(0);
  expect(engine.metrics.waiting.read()).toBe(2);
  endless.abort();
  expect((await behind.ended).finish).toEqual({ reason: 'length', stopReason: null });
});

test('a sequence that never fitted runs once the cache has grown', async () => {
  const engine = startEngine({ kvBlocks: 10 });
  const asked = engine.ask({ promptIds: promptOf(170), tokens: 10 });
  await engine.pass(10_000);
  expect(asked.answer.tokenIds).toEqual([]);
  engine.resizeKv(12);
  expect((await asked.ended).tokenIds).toHaveLength(10);
});

test('limits at the door count what is in the engine', async () => {
  const engine = startEngine({ queuedRequestsMax: 3, queuedTokensMax: 100 });
  expect(engine.admit({ choices: 4 })).toMatchObject({ reason: 'max_num_queued_reqs' });
  expect(engine.admit({ choices: 3 })).toEqual({ kind: 'admitted' });
  const asked = engine.ask({ promptIds: promptOf(100), tokens: 5 });
  expect(engine.admit({ choices: 1 })).toMatchObject({ reason: 'max_num_queued_tokens' });
  expect(engine.admit({ choices: 3 })).toMatchObject({ reason: 'max_num_queued_reqs' });
  await engine.pass(20);
  // Its prompt is computed now.
  expect(engine.admit({ choices: 2 })).toEqual({ kind: 'admitted' });
  await asked.ended;
  expect(engine.metrics.admissionRejections.read()).toEqual([
    { reason: 'max_num_queued_reqs', count: 2 },
    { reason: 'max_num_queued_tokens', count: 1 },
  ]);
});
