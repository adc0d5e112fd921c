/** What several attempts of a worker write in one turn of its event loop. */
import type { AttemptLog, ProducerStore, StopReason, WorkerStore } from '@qarr/job-store';
import type { NewJob } from '@qarr/router-core';
import fc from 'fast-check';
import { Redis } from 'ioredis';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { sendAppends } from '../../packages/job-store/src/appends.ts';
import { createKeys } from '../../packages/job-store/src/keys.ts';
import { checkLog, readLog, textOf } from '../harness/job-log.ts';
import { createOwnRedis } from '../harness/own-redis.ts';
import { ANYWHERE, COMPLETED, createStores, newJob } from '../harness/store.ts';
import type { Stores } from '../harness/store.ts';
import { waitUntil } from '../harness/wait-until.ts';

describe('the text of several jobs that comes in one turn', () => {
  it('is one message to each replica that follows them, and in their logs before it', async () => {
    const world = await createWorld({ jobs: 3 });
    const [first, second, third] = world.runs;
    const [one, other] = [await spyOn(world.stores), await spyOn(world.stores)];
    await world.follow(first, [one.channel]);
    await world.follow(second, [one.channel, other.channel]);
    await world.follow(third, [one.channel]);

    for (const { log } of world.runs) log.append({ text: 'a' });
    const [message] = await one.messages(1);
    expect(linesOf(message?.text)).toEqual(world.runs.map(({ job }) => [job.id, '3', 'delta']));
    expect(message?.logged).toEqual([3, 3, 3]);
    const [told] = await other.messages(1);
    expect(linesOf(told?.text)).toEqual([[second.job.id, '3', 'delta']]);
  });

  it('ends with the event that ends the job, in one message', async () => {
    const world = await createWorld({ jobs: 1 });
    const [run] = world.runs;
    const spy = await spyOn(world.stores);
    await world.follow(run, [spy.channel]);
    run.log.append({ text: 'last words' });
    expect(await run.log.finish(COMPLETED)).toBe('ok');
    const [message] = await spy.messages(1);
    expect(linesOf(message?.text).map(([, seq, type]) => [seq, type])).toEqual([
      ['3', 'delta'],
      ['4', 'completed'],
    ]);
  });

  it.each(['append', 'finish'] as const)(
    'is told with the start of a job that is bound to a connection: by its first %s, once',
    async (first) => {
      const world = await createWorld({ jobs: 0 });
      const spy = await spyOn(world.stores);
      const run = await world.claimBound(spy.channel);
      run.log.append({ text: 'a' });
      if (first === 'append') {
        const [message] = await spy.messages(1);
        expect(linesOf(message?.text).map(([, seq]) => seq)).toEqual(['2', '3']);
        run.log.append({ text: 'b' });
      }
      expect(await run.log.finish(COMPLETED)).toBe('ok');
      const messages = await spy.messages(first === 'append' ? 2 : 1);
      const told = messages.flatMap(({ text }) => linesOf(text).map(([, , type]) => type));
      const texts = first === 'append' ? ['delta', 'delta'] : ['delta'];
      expect(told).toEqual(['started', ...texts, 'completed']);
    },
  );

  it('is told event by event to a replica of before that could be otherwise', async () => {
    const world = await createWorld({ jobs: 2 });
    const { root } = world.stores;
    const [first, second] = world.runs;
    const spy = await spyOn(world.stores, (replica) => `${root}:api:${replica}`);
    for (const run of [first, second]) await world.follow(run, [spy.channel]);
    for (const { log } of [first, second]) log.append({ text: 'a' });
    const { id } = first.job;
    await waitUntil('it is written', async () => (await world.store.get(id))?.seq === 3);
    first.log.append({ text: 'b' });
    expect(await first.log.finish(COMPLETED)).toBe('ok');
    const told = (await spy.messages(4)).map(({ text }) => linesOf(text));
    expect(told.map((lines) => lines.length)).toEqual([1, 1, 1, 1]);
    expect(told.map(([line]) => line?.[2])).toEqual(['delta', 'delta', 'delta', 'completed']);
    const { redis } = world.stores;
    expect(await redis.hget(world.recordOf(second), 'followers')).toBe(spy.channel);
  });

  it('reaches the others where one has another owner, one cannot be written and one lacks a part', async () => {
    const world = await createWorld({ jobs: 5 });
    const { redis } = world.stores;
    const [before, superseded, broken, cut, after] = world.runs;
    await redis.hset(world.recordOf(superseded), 'claim', 'of another');
    await redis.rename(world.logOf(broken), `${world.logOf(broken)}-kept`);
    await redis.set(world.logOf(broken), 'no stream');
    await redis.hset(world.recordOf(cut), 'seq', 1);
    await redis.xdel(world.logOf(cut), '0-2');
    await redis.xsetid(world.logOf(cut), '0-1');
    const spy = await spyOn(world.stores);
    for (const run of [before, after]) await world.follow(run, [spy.channel]);

    for (const { log } of world.runs) log.append({ text: 'a' });
    const [told] = await spy.messages(1);
    expect(linesOf(told?.text).map(([jobId]) => jobId)).toEqual([before.job.id, after.job.id]);
    for (const { job } of [before, after]) {
      await waitUntil('it is written', async () => (await world.store.get(job.id))?.seq === 3);
    }
    await waitUntil('one is told', () => superseded.stops.length > 0);
    expect(superseded.stops).toEqual(['superseded']);
    // What the log has lost was written before this attempt has written: it cannot write it again.
    await waitUntil('another is told', () => cut.stops.length > 0);
    expect(cut.stops).toEqual(['superseded']);
    await waitUntil('it is tried', () =>
      world.stores.errors.some(({ message }) => message.startsWith('WRONGTYPE')),
    );

    await redis.rename(`${world.logOf(broken)}-kept`, world.logOf(broken));
    for (const run of [before, broken, after]) {
      expect(await run.log.finish(COMPLETED)).toBe('ok');
      const events = await readLog({ ...world.stores, jobId: run.job.id });
      checkLog(events);
      expect(textOf(events)).toBe('a');
      expect(run.stops).toEqual([]);
    }
  });

  it('is not sent any more where nobody listens', async () => {
    const world = await createWorld({ jobs: 2 });
    const [first, second] = world.runs;
    const spy = await spyOn(world.stores);
    await world.follow(first, ['gone', spy.channel, 'gone-too']);
    await world.follow(second, ['gone']);
    for (const { log } of world.runs) log.append({ text: 'a' });
    await spy.messages(1);
    const { redis } = world.stores;
    expect(await redis.hget(world.recordOf(first), 'followers')).toBe(spy.channel);
    expect(await redis.hget(world.recordOf(second), 'followers')).toBe('');
  });

  it('is written where Redis has forgotten the script, and once where it is sent twice', async () => {
    const world = await createWorld({ jobs: 3 });
    const appends = world.runs.map(({ job }) => ({
      jobId: job.id,
      attempt: 1,
      token: 't',
      tokensMade: null,
      first: 3,
      events: ['delta', '{"type":"delta","text":"a"}', ''],
    }));
    await world.stores.redis.script('FLUSH');
    for (let time = 0; time < 2; time += 1) {
      expect(await sendAppends(appends, world.connection)).toEqual(['ok', 'ok', 'ok']);
    }
    for (const { job } of world.runs) {
      expect(textOf(await readLog({ ...world.stores, jobId: job.id }))).toBe('a');
    }
  });

  it('leaves in calls of a bounded size', async () => {
    const { stores, connection } = await createWorld({ jobs: 0 });
    const unknown = { attempt: 1, token: 't', tokensMade: null, first: 3 };
    const evalshas = async () => {
      const stats = await stores.redis.info('commandstats');
      return Number(/cmdstat_evalsha:calls=(\d+)/.exec(stats)?.[1] ?? 0);
    };
    async function callsFor(count: number, chars: number): Promise<number> {
      const before = await evalshas();
      const events = ['delta', 'x'.repeat(chars), ''];
      const appends = Array.from({ length: count }, () => ({ jobId: 'none', ...unknown, events }));
      const outcomes = await sendAppends(appends, connection);
      expect(outcomes).toEqual(appends.map(() => 'superseded'));
      return (await evalshas()) - before;
    }
    // Redis does not know the script yet.
    await callsFor(1, 1);
    expect(await callsFor(0, 1)).toBe(0);
    expect(await callsFor(200, 50)).toBe(1);
    expect(await callsFor(600, 1)).toBe(3);
    expect(await callsFor(5, 70_000)).toBe(3);
  });

  it('is read once and in order, however turns, jobs and readers fall together', async () => {
    const world = await createWorld({ jobs: 4, readers: 2 });
    const step = fc.record({
      /** Which of the jobs say something, in this turn. */
      jobs: fc.array(fc.nat(3), { maxLength: 6 }),
      turns: fc.nat(2),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        for (const { jobs, turns } of steps) {
          for (const at of jobs) world.runs[at]?.log.append({ text: `${at} é\n` });
          for (let passed = 0; passed < turns; passed += 1) await turn();
        }
      }),
      { numRuns: 40 },
    );
    for (const { job, log } of world.runs) {
      expect(await log.finish(COMPLETED)).toBe('ok');
      const log_ = (await readLog({ ...world.stores, jobId: job.id })).map((event) => event.type);
      for (const seqs of await Promise.all(world.seen.get(job.id) ?? [])) {
        expect(seqs).toEqual(log_.map((_, index) => index + 1));
      }
    }
  });
});

interface Run {
  readonly job: NewJob;
  readonly log: AttemptLog;
  readonly stops: StopReason[];
}

/** Jobs that run on one worker. `readers`: replicas, each of which reads all of them from now on. */
async function createWorld({ jobs, readers = 0 }: { jobs: number; readers?: number }) {
  const { url } = await createOwnRedis();
  const stores = createStores({ redisUrl: url });
  const [store, worker] = await Promise.all([stores.producer(), stores.worker()]);
  const followers: ProducerStore[] = [];
  for (let count = 0; count < readers; count += 1) followers.push(await stores.producer());
  const runs: Run[] = [];
  const seen = new Map<string, Promise<number[]>[]>();
  for (let count = 0; count < jobs; count += 1) {
    const job = newJob();
    await store.submit(job, ANYWHERE);
    runs.push(await start(worker, job));
    seen.set(
      job.id,
      followers.map((follower) => seqsOf(follower, job)),
    );
  }
  const recordOf = ({ job }: Run) => `${stores.root}:{${job.id}}:job`;
  return {
    stores,
    store,
    seen,
    runs: runs as [Run, Run, Run, Run, Run],
    connection: { redis: stores.redis, keys: createKeys(stores.root) },
    recordOf,
    async claimBound(channel: string): Promise<Run> {
      const job = { ...newJob(), isBound: true };
      await store.submit(job, ANYWHERE);
      await stores.redis.hset(`${stores.root}:{${job.id}}:job`, 'followers', channel);
      return start(worker, job);
    },
    logOf: ({ job }: Run) => `${stores.root}:{${job.id}}:log`,
    follow: (run: Run, channels: readonly string[]) =>
      stores.redis.hset(recordOf(run), 'followers', channels.join(' ')),
  };
}

async function start(worker: WorkerStore, job: NewJob): Promise<Run> {
  const entry = { jobId: job.id, epoch: 1, class: job.class };
  const claimed = await worker.claim(entry, { worker: 'w', token: 't' });
  if (claimed.kind !== 'run') throw new Error(`not claimed: ${claimed.kind}`);
  const stops: StopReason[] = [];
  return { job, stops, log: claimed.openLog((reason) => stops.push(reason)) };
}

async function seqsOf(store: ProducerStore, job: NewJob): Promise<number[]> {
  const seqs: number[] = [];
  const { signal } = new AbortController();
  for await (const events of store.follow(job.id, { after: 0, signal })) {
    seqs.push(...events.map(({ seq }) => seq));
  }
  return seqs;
}

let spies = 0;

/** A replica that listens: what it is told, and how long the logs are when it hears of it. */
async function spyOn({ redis, root }: Stores, name = createKeys(root).replicaChannel) {
  const channel = name(`spy-${(spies += 1)}`);
  const listener = new Redis(redis.options.port ?? 0);
  onTestFinished(() => listener.disconnect());
  const heard: Promise<{ text: string; logged: number[] }>[] = [];
  listener.on('message', (_, text: string) => {
    const logs = linesOf(text).map(([jobId]) => redis.xlen(`${root}:{${jobId}}:log`));
    heard.push(Promise.all(logs).then((logged) => ({ text, logged })));
  });
  await listener.subscribe(channel);
  return {
    channel,
    /** So many and no more. */
    async messages(count: number) {
      await waitUntil('it is told', () => heard.length >= count);
      expect(heard).toHaveLength(count);
      return Promise.all(heard);
    },
  };
}

function linesOf(message = ''): (string | undefined)[][] {
  return message.split('\n').map((line) => line.split(' ').slice(0, 3));
}
