import type { LoggedEvent } from '@qarr/router-core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LiveBuffer } from './live-buffer.ts';

describe('a live buffer', () => {
  it('is behind the log until that is read', () => {
    const buffer = new LiveBuffer();
    expect(buffer.isBehind).toBe(true);
    buffer.push(event(1));
    expect(buffer.take(0)).toEqual([]);
    buffer.catchingUp();
    buffer.push(event(2));
    expect(buffer.take(1)).toEqual([event(2)]);
  });

  it('drops what the reader has seen', () => {
    const buffer = caughtUp();
    for (const seq of [3, 4, 5]) buffer.push(event(seq));
    expect(buffer.take(4)).toEqual([event(5)]);
  });

  it('falls behind on a gap between events', () => {
    const buffer = caughtUp();
    buffer.push(event(1));
    buffer.push(event(3));
    expect(buffer.isBehind).toBe(true);
    expect(buffer.take(0)).toEqual([]);
  });

  it('falls behind on a gap after what the reader has seen', () => {
    const buffer = caughtUp();
    buffer.push(event(5));
    expect(buffer.take(3)).toEqual([]);
    expect(buffer.isBehind).toBe(true);
  });

  it('falls behind rather than grow without limit', () => {
    const buffer = caughtUp();
    const big = 'x'.repeat(1_000);
    let pushed = 0;
    while (!buffer.isBehind) {
      pushed += 1;
      expect(pushed).toBeLessThan(100);
      buffer.push({ ...event(pushed), json: big });
    }
    expect(buffer.take(0)).toEqual([]);
  });

  it('yields contiguous events only, whatever arrives', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(20)), fc.nat(20), (seqs, last) => {
        const buffer = caughtUp();
        for (const seq of seqs) buffer.push(event(seq));
        const taken = buffer.take(last).map(({ seq }) => seq);
        expect(taken).toEqual(taken.map((_, index) => last + 1 + index));
      }),
    );
  });
});

function caughtUp() {
  const buffer = new LiveBuffer();
  buffer.catchingUp();
  return buffer;
}

function event(seq: number): LoggedEvent {
  return { seq, type: 'delta', json: `{"n":${seq}}` };
}
