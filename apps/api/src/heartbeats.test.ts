import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { createHeartbeats } from './heartbeats.ts';

const STREAMS = 300;

function start() {
  const beats = new Map<number, number>();
  const heartbeats = createHeartbeats<number>({
    everyMs: 3_000,
    beat: (stream) => void beats.set(stream, (beats.get(stream) ?? 0) + 1),
  });
  onTestFinished(() => heartbeats.stop());
  return { beats, heartbeats };
}

describe('heartbeats', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('come to each stream once in the time', () => {
    const { beats, heartbeats } = start();
    for (let stream = 0; stream < STREAMS; stream += 1) heartbeats.add(stream);
    vi.advanceTimersByTime(3_000);
    expect(beats.size).toBe(STREAMS);
    vi.advanceTimersByTime(6_000);
    expect(new Set(beats.values())).toEqual(new Set([3]));
  });

  it('are spread over the time, also of streams that came at once', () => {
    const { beats, heartbeats } = start();
    for (let stream = 0; stream < STREAMS; stream += 1) heartbeats.add(stream);
    vi.advanceTimersByTime(300);
    expect(beats.size).toBe(STREAMS / 10);
  });

  it('do not come to a stream that has left', () => {
    const { beats, heartbeats } = start();
    heartbeats.add(1);
    heartbeats.add(2);
    heartbeats.remove(1);
    vi.advanceTimersByTime(3_000);
    expect([...beats.keys()]).toEqual([2]);
  });
});
