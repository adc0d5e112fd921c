import { expect, it } from 'vitest';
import { createTail } from './tail.ts';

const event = (text: string) => ['delta', text, ''];

it('gives back what was written from a number on', () => {
  const tail = createTail();
  tail.add(3, event('a'));
  tail.add(4, [...event('b'), ...event('c')]);
  tail.add(6, event('d'));
  expect(tail.from(3)).toEqual(['a', 'b', 'c', 'd'].flatMap(event));
  expect(tail.from(5)).toEqual(['c', 'd'].flatMap(event));
  expect(tail.from(6)).toEqual(event('d'));
});

it('does not reach back before what it was told, nor beyond it', () => {
  const tail = createTail();
  expect(tail.from(1)).toBeNull();
  tail.add(3, event('a'));
  expect(tail.from(2)).toBeNull();
  expect(tail.from(4)).toBeNull();
});

it('forgets the oldest when there is much, and never the newest', () => {
  const tail = createTail();
  tail.add(1, event('a'.repeat(40_000)));
  tail.add(2, event('b'.repeat(40_000)));
  expect(tail.from(1)).toBeNull();
  expect(tail.from(2)).toEqual(event('b'.repeat(40_000)));
  tail.add(3, event('c'.repeat(100_000)));
  expect(tail.from(3)).toEqual(event('c'.repeat(100_000)));
});
