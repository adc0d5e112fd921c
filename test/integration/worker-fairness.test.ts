/** A tenant with 3,000 jobs that wait, and one with a single job: real workers, one engine. */
import { expect, it } from 'vitest';
import { waitUntil } from '../harness/wait-until.ts';
import { startWorkerWorld } from '../harness/worker-world.ts';

const SLOTS = 4;
const MANY = 3_000;
const AT_ONCE = 200;
/** A short answer, so that many are started meanwhile. */
const TOKENS = 8;
const SINGLES = 5;

it(
  'starts the single job of a tenant as soon as a slot is free, whatever another has waiting',
  { timeout: 120_000 },
  async () => {
    const world = await startWorkerWorld(`--max-num-seqs=${SLOTS}`);
    const many: string[] = [];
    while (many.length < MANY) {
      const some = Array.from({ length: AT_ONCE }, () =>
        world.submit({ owner: 'many', tokens: TOKENS }),
      );
      many.push(...(await Promise.all(some)));
    }
    await world.startWorker({ QARR_CONCURRENCY: String(SLOTS) });
    const startsOfMany = async () => {
      const records = await Promise.all(many.slice(0, 500).map((id) => world.record(id)));
      return records.flatMap(({ startedAt }) => startedAt ?? []);
    };
    for (let single = 0; single < SINGLES; single += 1) {
      const before = (await startsOfMany()).length;
      await waitUntil('the many go on', async () => (await startsOfMany()).length > before + SLOTS);
      const one = await world.submit({ owner: 'one', tokens: TOKENS });
      await world.sees(one, 'started');
      const { createdAt, startedAt } = await world.record(one);
      const between = (await startsOfMany()).filter(
        (at) => at > createdAt && at < (startedAt ?? Infinity),
      );
      // One service time at most: no slot is given to the many twice before it. A start that was on
      // its way as it came, and one that was noted in the same millisecond, may be seen before it.
      expect(between.length).toBeLessThanOrEqual(SLOTS);
    }
  },
);
