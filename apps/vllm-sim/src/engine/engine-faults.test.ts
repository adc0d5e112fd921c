import { expect, test } from 'vitest';
import { promptOf, startEngine } from './engine-for-test.ts';

const ABORTED = { reason: 'abort', stopReason: null };
const FAILED = { reason: 'error', stopReason: null };
const COMPLETE = { reason: 'length', stopReason: null };
/** Some seconds of simulated time. */
const LONG = { promptIds: promptOf(10), tokens: 500 };

test('a hanging engine takes requests, gives nothing, and shows old gauges', async () => {
  const engine = startEngine();
  const running = engine.ask(LONG);
  await engine.pass(100);
  engine.hang();
  const later = engine.ask(LONG);
  const tokens = running.answer.tokenIds.length;
  await engine.pass(60_000);
  expect(running.answer.tokenIds).toHaveLength(tokens);
  expect(later.answer.tokenIds).toEqual([]);
  expect(engine.metrics.running.read()).toBe(1);
  expect(engine.metrics.waiting.read()).toBe(0);
  expect(engine.counts()).toEqual({ running: 1, waiting: 1 });
  engine.resume();
  expect((await running.ended).finish).toEqual(COMPLETE);
  expect((await later.ended).tokenIds).toEqual(running.answer.tokenIds);
});

test('an idle engine that hangs keeps what comes until it resumes', async () => {
  const engine = startEngine();
  engine.hang();
  const asked = engine.ask({ ...LONG, tokens: 1 });
  await engine.pass(60_000);
  expect(asked.answer.finish).toBeUndefined();
  engine.resume();
  expect((await asked.ended).finish).toEqual(COMPLETE);
});

test('a dead engine fails what it had and what comes, and counts nothing', async () => {
  const engine = startEngine({ sequencesMax: 1 });
  const asked = [engine.ask(LONG), engine.ask(LONG)];
  await engine.pass(100);
  const finished = engine.metrics.finished.read();
  engine.die();
  expect(engine.isDead()).toBe(true);
  expect(asked.map(({ answer }) => answer.finish)).toEqual([FAILED, FAILED]);
  expect((await engine.ask(LONG).ended).finish).toEqual(FAILED);
  await engine.pass(60_000);
  engine.stop();
  engine.resume();
  expect(engine.isDead()).toBe(true);
  expect(engine.metrics.finished.read()).toEqual(finished);
  expect(engine.metrics.running.read()).toBe(1);
});

test('an abort of all ends what runs and what waits, and the engine goes on', async () => {
  const engine = startEngine({ sequencesMax: 1 });
  const asked = [engine.ask(LONG), engine.ask(LONG)];
  await engine.pass(100);
  expect(engine.abortAll()).toBe(2);
  expect(asked.map(({ answer }) => answer.finish)).toEqual([ABORTED, ABORTED]);
  expect((await engine.ask({ ...LONG, tokens: 3 }).ended).finish).toEqual(COMPLETE);
  expect(engine.metrics.kvUsage.read()).toBe(0);
});

test('a slow engine takes so many times as long', async () => {
  const engine = startEngine();
  await engine.ask({ ...LONG, tokens: 10 }).ended;
  const normalMs = engine.clock.now();
  engine.setSlowFactor(5);
  await engine.ask({ ...LONG, promptIds: promptOf(10, 1), tokens: 10 }).ended;
  expect(engine.clock.now() - normalMs).toBeCloseTo(5 * normalMs);
});

test('a stop aborts what is there and what comes', async () => {
  const engine = startEngine();
  const running = engine.ask(LONG);
  await engine.pass(100);
  engine.stop();
  expect(running.answer.finish).toEqual(ABORTED);
  expect((await engine.ask(LONG).ended).finish).toEqual(ABORTED);
  expect(engine.metrics.finished.read()).toContainEqual({ reason: 'abort', count: 2 });
});

test('a stop ends a hang', async () => {
  const engine = startEngine();
  engine.hang();
  const asked = engine.ask(LONG);
  await engine.pass(100);
  engine.stop();
  expect(asked.answer.finish).toEqual(ABORTED);
});

test('a drain lets finish what is there, aborts what comes, and ends with the last', async () => {
  const engine = startEngine({ sequencesMax: 1 });
  const asked = [engine.ask({ ...LONG, tokens: 50 }), engine.ask({ ...LONG, tokens: 50 })];
  await engine.pass(100);
  const drained = engine.drain(60_000);
  expect((await engine.ask(LONG).ended).finish).toEqual(ABORTED);
  await drained;
  expect(asked.map(({ answer }) => answer.finish)).toEqual([COMPLETE, COMPLETE]);
  expect(engine.clock.now()).toBeLessThan(10_000);
});

test('a drain aborts what takes too long', async () => {
  const engine = startEngine();
  const [short, long] = [engine.ask({ ...LONG, tokens: 50 }), engine.ask(LONG)];
  await engine.drain(1000);
  expect(short.answer.finish).toEqual(COMPLETE);
  expect(long.answer.finish).toEqual(ABORTED);
  expect(engine.clock.now()).toBe(1000);
});

test('a drain of an idle engine, and of one whose last client leaves, ends at once', async () => {
  const idle = startEngine();
  await idle.drain(60_000);
  expect(idle.clock.now()).toBe(0);
  const engine = startEngine();
  const asked = engine.ask(LONG);
  await engine.pass(100);
  const drained = engine.drain(60_000);
  asked.abort();
  await drained;
  expect(engine.clock.now()).toBeLessThan(1000);
});

test('a client that leaves gets nothing more and is counted nowhere', async () => {
  const engine = startEngine();
  const asked = engine.ask(LONG);
  await engine.pass(100);
  const tokens = asked.answer.tokenIds.length;
  asked.abort();
  await engine.pass(100);
  expect(asked.answer).toMatchObject({ finish: undefined, tokenIds: { length: tokens } });
  expect(engine.metrics.finished.read().every(({ count }) => count === 0)).toBe(true);
  expect(engine.metrics.running.read()).toBe(0);
});
