import { expect, it } from 'vitest';
import { chooseActive } from './choose-active.ts';

function candidates(...ids: string[]) {
  // The first letter is the owner; an exclamation mark says that it is being cancelled, a z that it rests.
  return ids.map((id) => ({
    id,
    owner: id.slice(0, 1),
    isUrgent: id.endsWith('!'),
    isResting: id.endsWith('z'),
  }));
}

it('gives each tenant its turn, and of each the batch that expires first', () => {
  const all = candidates('a1', 'a2', 'a3', 'b1', 'a4', 'c1', 'b2');
  expect([...chooseActive(all, 4)]).toEqual(['a1', 'b1', 'c1', 'a2']);
  expect(chooseActive(all, 100)).toEqual(new Set(all.map(({ id }) => id)));
  expect(chooseActive([], 3).size).toBe(0);
});

it('begins with those that are being cancelled', () => {
  expect([...chooseActive(candidates('a1', 'b1', 'a2!'), 2)]).toEqual(['a2!', 'a1']);
});

it('gives those that rest what is left', () => {
  const all = candidates('a1z', 'b1z', 'a2', 'b2', 'a3');
  expect([...chooseActive(all, 2)]).toEqual(['a2', 'b2']);
  expect([...chooseActive(all, 4)]).toEqual(['a2', 'b2', 'a3', 'a1z']);
});
