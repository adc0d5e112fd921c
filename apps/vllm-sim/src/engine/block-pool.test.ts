import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { createBlockPool } from './block-pool.ts';

test('the block that was released longest ago is handed out first', () => {
  const pool = createBlockPool({ blocks: 4 });
  const [a, b, c] = [pool.take(), pool.take(), pool.take()];
  pool.release([b]);
  pool.release([a, c]);
  pool.take();
  // Of one list the last goes first: the end of a text is worth less than its beginning.
  expect([pool.take(), pool.take(), pool.take()]).toEqual([b, c, a]);
});

test('a released block is found until it is handed out again', () => {
  const pool = createBlockPool({ blocks: 2 });
  const block = pool.take();
  pool.publish(block, 77);
  pool.release([block]);
  expect(pool.find(77)).toBe(block);
  pool.take();
  expect(pool.find(77)).toBe(block);
  pool.take();
  expect(pool.find(77)).toBeUndefined();
});

test('of two blocks with one content the first is found', () => {
  const pool = createBlockPool({ blocks: 3 });
  const [first, second] = [pool.take(), pool.take()];
  pool.publish(first, 77);
  pool.publish(second, 77);
  expect(pool.find(77)).toBe(first);
  pool.release([second]);
  pool.take();
  pool.take();
  expect(pool.find(77)).toBe(first);
});

test('a cached block that is shared is not handed out', () => {
  const pool = createBlockPool({ blocks: 2 });
  const block = pool.take();
  pool.publish(block, 77);
  pool.release([block]);
  pool.share(block);
  expect(pool.free()).toBe(1);
  expect(pool.take()).not.toBe(block);
  expect(() => pool.take()).toThrow('full');
});

test('a smaller pool takes free blocks at once and live ones when they are released', () => {
  const pool = createBlockPool({ blocks: 5 });
  const live = [pool.take(), pool.take(), pool.take()];
  pool.resize(2);
  expect(pool).toSatisfy(() => pool.free() === 0 && pool.overdue() === 1);
  pool.release(live.slice(0, 2));
  expect(pool).toSatisfy(() => pool.free() === 1 && pool.overdue() === 0);
  pool.resize(4);
  expect(pool.free() + pool.live()).toBe(4);
});

type Command =
  | { do: 'take'; hash: number }
  | { do: 'share' | 'release'; pick: number }
  | { do: 'resize'; blocks: number };

const command: fc.Arbitrary<Command> = fc.oneof(
  fc.record({ do: fc.constant('take' as const), hash: fc.nat(4) }),
  fc.record({ do: fc.constantFrom('share' as const, 'release' as const), pick: fc.nat(1000) }),
  fc.record({ do: fc.constant('resize' as const), blocks: fc.integer({ min: 1, max: 12 }) }),
);

test('blocks are neither lost nor doubled, and what is found holds what was named', () => {
  fc.assert(
    fc.property(fc.array(command, { maxLength: 150 }), (commands) => {
      const pool = createBlockPool({ blocks: 8 });
      /** Each use of a block, in the model. */
      const uses: number[] = [];
      const content = new Map<number, number>();
      for (const each of commands) {
        if (each.do === 'take' && pool.free() > 0) {
          const block = pool.take();
          expect(uses).not.toContain(block);
          uses.push(block);
          content.delete(block);
          if (pool.find(each.hash) === undefined) content.set(block, each.hash);
          pool.publish(block, each.hash);
        } else if (each.do === 'share' && content.size > 0) {
          const [, hash] = [...content][each.pick % content.size] ?? [0, 0];
          const found = pool.find(hash);
          if (found === undefined) continue;
          expect(content.get(found)).toBe(hash);
          pool.share(found);
          uses.push(found);
        } else if (each.do === 'release' && uses.length > 0) {
          pool.release(uses.splice(each.pick % uses.length, 1));
        } else if (each.do === 'resize') {
          pool.resize(each.blocks);
        }
        const live = new Set(uses).size;
        expect(pool.live()).toBe(live);
        expect(pool.free()).toBe(Math.max(0, pool.total() - live));
        expect(pool.overdue()).toBe(Math.max(0, live - pool.total()));
      }
    }),
  );
});
