import type { SharedBreakers, WorkerStore } from '@qarr/job-store';
import type { BreakerTold, WorkerStatus } from '@qarr/router-core';
import { describe, expect, it } from 'vitest';
import { createOwnRedis } from '../harness/own-redis.ts';
import { createStores } from '../harness/store.ts';
import { waitUntil } from '../harness/wait-until.ts';

const ENGINE = 'http://10.0.0.1:8000';
const OTHER = 'http://10.0.0.2:8000';
/** In the worker's own pod. */
const OWN = 'http://127.0.0.1:8000';
const OPEN: BreakerTold = { kind: 'open', trips: 2, retryInMs: 20_000 };
const HALF_OPEN: BreakerTold = { kind: 'half_open', trips: 2, retryInMs: 0 };
const CLOSED: BreakerTold = { kind: 'closed', trips: 2, retryInMs: 0 };

interface Member {
  readonly store: WorkerStore;
  readonly breakers: SharedBreakers;
  /** What others have made of the engine, the latest last. */
  readonly told: BreakerTold[];
  /** The same of the other engine. */
  readonly toldOther: BreakerTold[];
  hears(kind: BreakerTold['kind']): Promise<BreakerTold>;
}

/** Workers of one tier; those of `upstreams` say in their heartbeats that they use these. */
async function createTier({ redisUrl }: { redisUrl?: string } = {}) {
  const stores = createStores(redisUrl === undefined ? {} : { redisUrl });
  const key = `{${stores.root}:fast}:breakers`;
  const lease = `{${stores.root}:fast}:probe:${ENGINE}`;
  let members = 0;
  async function join(upstreams = [ENGINE], host = 'h'): Promise<Member> {
    const store = await stores.worker('fast');
    members += 1;
    const workerId = `w${members}`;
    await store.beat(heartbeat(workerId, { host, upstreams }));
    const [told, toldOther]: [BreakerTold[], BreakerTold[]] = [[], []];
    const breakers = store.shareBreakers({
      workerId,
      host,
      upstreams: [ENGINE, OTHER, OWN],
      onTold: (upstream, now) => void (upstream === OTHER ? toldOther : told).push(now),
    });
    return {
      store,
      breakers,
      told,
      toldOther,
      hears: (kind) =>
        waitUntil(`${workerId} hears of ${kind}`, () => {
          const last = told.at(-1);
          return last?.kind === kind ? last : null;
        }),
    };
  }
  return { ...stores, key, lease, join };
}

function heartbeat(
  id: string,
  { host, upstreams }: { host: string; upstreams: readonly string[] },
): WorkerStatus {
  return {
    id,
    host,
    pid: 1,
    slots: 1,
    running: 0,
    breaker: 'closed',
    upstream: upstreams[0] ?? '',
    model: 'm',
    max_model_len: null,
    service_ms: null,
    upstreams: upstreams.map((url) => ({
      url,
      state: 'ready',
      running: 0,
      slots: 1,
      waiting: null,
      kv_usage: null,
      preemptions: null,
      model: null,
      max_model_len: null,
      version: null,
    })),
  };
}

describe('a breaker of several workers', () => {
  it('opens for all when two of them say so', async () => {
    const tier = await createTier();
    const [one, two, three] = [await tier.join(), await tier.join(), await tier.join()];
    await one.breakers.say(ENGINE, OPEN);
    await one.breakers.say(ENGINE, OPEN);
    await two.breakers.say(OTHER, OPEN);
    expect(JSON.parse((await tier.redis.hget(tier.key, ENGINE)) ?? '')).toMatchObject({
      kind: 'closed',
    });
    await two.breakers.say(ENGINE, { ...OPEN, trips: 3 });
    for (const { hears } of [one, three]) {
      const { trips, retryInMs } = await hears('open');
      expect(trips).toBe(3);
      expect(retryInMs).toBeGreaterThan(0);
      expect(retryInMs).toBeLessThanOrEqual(OPEN.retryInMs);
    }
    expect(two.told).toEqual([]);
    expect(await tier.redis.pttl(tier.key)).toBeGreaterThan(3_600_000);
  });

  it('opens by one that is the only one with this engine', async () => {
    const tier = await createTier();
    const [one, two] = [await tier.join(), await tier.join([OTHER])];
    await one.breakers.say(ENGINE, OPEN);
    await two.hears('open');
  });

  it('is of one host alone where the engine is known by a loopback address', async () => {
    const tier = await createTier();
    const [one, two] = [await tier.join([OWN], 'pod-1'), await tier.join([OWN], 'pod-1')];
    const other = await tier.join([OWN], 'pod-2');
    await other.breakers.say(OWN, OPEN);
    // Nobody else has that one: it needs no other vote.
    expect(await tier.redis.hget(tier.key, `${OWN}@pod-2`)).toContain('"open"');
    await one.breakers.say(OWN, OPEN);
    expect(await other.breakers.hold(OWN)).toBe('held');
    expect(await one.breakers.hold(OWN)).toBe('held');
    expect(await two.breakers.hold(OWN)).toBe('taken');
    await two.breakers.say(OWN, OPEN);
    await one.hears('open');
    expect(other.told).toEqual([]);
  });

  it.each([
    ['is old', 31_000, false],
    ['is young', 20_000, true],
  ])('counts a vote that %s or not', async (_name, ageMs, opens) => {
    const tier = await createTier();
    const [one, two] = [await tier.join(), await tier.join()];
    await one.breakers.say(ENGINE, OPEN);
    const shared = JSON.parse((await tier.redis.hget(tier.key, ENGINE)) ?? '') as {
      votes: Record<string, number>;
    };
    shared.votes['w1'] = (shared.votes['w1'] ?? 0) - ageMs;
    await tier.redis.hset(tier.key, ENGINE, JSON.stringify(shared));
    await two.breakers.say(ENGINE, OPEN);
    expect(await tier.redis.hget(tier.key, ENGINE)).toContain(opens ? '"open"' : '"closed"');
  });

  it('does not count a vote that was taken back', async () => {
    const tier = await createTier();
    const [one, two] = [await tier.join(), await tier.join()];
    await one.breakers.say(ENGINE, OPEN);
    await one.breakers.say(ENGINE, CLOSED);
    await two.breakers.say(ENGINE, OPEN);
    expect(await tier.redis.hget(tier.key, ENGINE)).toContain('"closed"');
  });

  it('is changed by nobody but the holder of the lease while it is open', async () => {
    const tier = await createTier();
    const [one, two] = [await tier.join(), await tier.join()];
    await one.breakers.say(ENGINE, OPEN);
    await two.breakers.say(ENGINE, OPEN);
    await one.hears('open');
    expect(await one.breakers.hold(ENGINE)).toBe('held');
    await one.breakers.say(ENGINE, HALF_OPEN);
    await two.hears('half_open');
    // It was frozen, and speaks of what it knew then: it is told how things are.
    two.told.length = 0;
    await two.breakers.say(ENGINE, CLOSED);
    await two.hears('half_open');
    await one.breakers.say(ENGINE, OPEN);
    await two.hears('open');
    await one.breakers.say(ENGINE, CLOSED);
    expect(await two.hears('closed')).toMatchObject({ trips: 2 });
    expect(one.told.map(({ kind }) => kind)).toEqual(['open']);
  });

  it('is looked up by who heard no message', async () => {
    const tier = await createTier();
    const one = await tier.join();
    const until = Date.now() + 60_000;
    const at = String(Date.now() * 1_000);
    const shared = { kind: 'open', trips: 1, until, at, votes: {} };
    await tier.redis.hset(tier.key, ENGINE, JSON.stringify(shared));
    await one.hears('open');
    // What is forgotten is not closed.
    await tier.redis.del(tier.key);
    await tier.redis.hset(tier.key, OTHER, JSON.stringify(shared));
    await waitUntil('it has looked', () => one.toldOther.length > 0);
    expect(one.told).toHaveLength(1);
  });
});

describe('the lease of a probe', () => {
  it('has one holder, who keeps it until he leaves it', async () => {
    const tier = await createTier();
    const [one, two] = [await tier.join(), await tier.join()];
    const holds = await Promise.all([one.breakers.hold(ENGINE), two.breakers.hold(ENGINE)]);
    expect(holds.toSorted()).toEqual(['held', 'taken']);
    const [first, second] = holds[0] === 'held' ? [one, two] : [two, one];
    expect(await first.breakers.hold(ENGINE)).toBe('held');
    await second.breakers.leave(ENGINE, { restMs: 0 });
    expect(await second.breakers.hold(ENGINE)).toBe('taken');
    expect(await second.breakers.hold(OTHER)).toBe('held');
    await first.breakers.leave(ENGINE, { restMs: 0 });
    expect(await second.breakers.hold(ENGINE)).toBe('held');
  });

  it('is nobody’s for a while when he says so', async () => {
    const tier = await createTier();
    const [one, two] = [await tier.join(), await tier.join()];
    await one.breakers.hold(ENGINE);
    await one.breakers.leave(ENGINE, { restMs: 200 });
    expect(await tier.redis.pttl(tier.lease)).toBeLessThanOrEqual(200);
    for (const { breakers } of [one, two]) expect(await breakers.hold(ENGINE)).toBe('taken');
    await waitUntil('it is free', async () => (await two.breakers.hold(ENGINE)) === 'held');
  });

  it('is another one’s soon after its holder died', async () => {
    const tier = await createTier();
    const [one, two] = [await tier.join(), await tier.join()];
    await one.breakers.hold(ENGINE);
    const leftMs = await tier.redis.pttl(tier.lease);
    expect(leftMs).toBeGreaterThan(2_000);
    expect(leftMs).toBeLessThanOrEqual(5_000);
    // Those seconds have passed.
    await tier.redis.pexpire(tier.lease, 1);
    await waitUntil('it is free', async () => (await two.breakers.hold(ENGINE)) === 'held');
    // Who was only frozen has lost it.
    expect(await one.breakers.hold(ENGINE)).toBe('taken');
  });

  it('is unknown while Redis does not answer', async () => {
    const redis = await createOwnRedis();
    const tier = await createTier({ redisUrl: redis.url });
    const one = await tier.join();
    redis.freeze();
    expect(await one.breakers.hold(ENGINE)).toBe('unknown');
    await one.breakers.say(ENGINE, OPEN);
    redis.thaw();
    await waitUntil('it is held', async () => (await one.breakers.hold(ENGINE)) === 'held');
    // What was said to a frozen one waited in its socket.
    await waitUntil('it is said', () => tier.redis.exists(tier.key).then((found) => found === 1));
    await tier.redis.del(tier.key);
    await redis.stop();
    await waitUntil('it is gone', async () => (await one.breakers.hold(ENGINE)) === 'unknown');
    // What is said to nobody is not said later, when it may be wrong.
    await one.breakers.say(ENGINE, OPEN);
    await redis.restart();
    await waitUntil('it is held', async () => (await one.breakers.hold(ENGINE)) === 'held');
    expect(await tier.redis.exists(tier.key)).toBe(0);
  });
});
