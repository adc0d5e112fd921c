import { expect, it } from 'vitest';
import { createOwnerTurns } from './owner-turns.ts';

const { signal } = new AbortController();

/** Takes turns, and tells who has had one. */
function turnsOf(max: number) {
  const turns = createOwnerTurns(max);
  const begun: string[] = [];
  const ends = new Map<string, () => void>();
  return {
    begun,
    async take(name: string, given = signal) {
      const [owner = ''] = name;
      const end = await turns.take(owner, given);
      begun.push(end === null ? `no ${name}` : name);
      if (end !== null) ends.set(name, end);
    },
    end: (name: string) => ends.get(name)?.(),
  };
}
const settled = () => new Promise((resolve) => setImmediate(resolve));

it('leaves a turn to others, however much one owner has waiting', async () => {
  const { begun, take, end } = turnsOf(2);
  for (const name of ['a1', 'a2', 'a3', 'b1', 'c1', 'c2']) void take(name);
  await settled();
  expect(begun).toEqual(['a1', 'b1']);
  end('b1');
  await settled();
  expect(begun.slice(2)).toEqual(['c1']);
  end('a1');
  end('c1');
  await settled();
  expect(begun.slice(3)).toEqual(['a2', 'c2']);
  end('c2');
  void take('d1');
  await settled();
  expect(begun.slice(5)).toEqual(['d1']);
  end('a2');
  await settled();
  expect(begun.slice(6)).toEqual(['a3']);
});

it('forgets whoever waits no more', async () => {
  const { begun, take, end } = turnsOf(1);
  const stop = new AbortController();
  void take('a1');
  void take('b1', stop.signal);
  void take('c1');
  await settled();
  stop.abort();
  await settled();
  expect(begun).toEqual(['a1', 'no b1']);
  end('a1');
  await settled();
  expect(begun.slice(2)).toEqual(['c1']);
  void take('b2', stop.signal);
  await settled();
  expect(begun.slice(3)).toEqual(['no b2']);
});
