import { describe, expect, it } from 'vitest';
import { createHosts } from './hosts.ts';
import type { HostSign, Hosts, Turn } from './hosts.ts';

const A = 'a.example';
const ANSWERED: HostSign = { kind: 'answered' };
const SILENT: HostSign = { kind: 'silent' };

const make = (concurrency = 2) => createHosts({ concurrency, random: () => 0.5 });

/** One delivery from its beginning to its end; fails where it is not its turn. */
function deliver(hosts: Hosts, sign: HostSign, { from, ms = 10 }: { from: number; ms?: number }) {
  const turn = hosts.turn(A, from);
  if (turn.kind === 'later') throw new Error(`Not its turn for ${turn.delayMs} ms`);
  turn.done(sign, from + ms);
}

function failTimes(hosts: Hosts, times: number, from = 0): void {
  for (let time = 0; time < times; time += 1) deliver(hosts, SILENT, { from: from + 20 * time });
}

const delayOf = (turn: Turn) => (turn.kind === 'later' ? turn.delayMs : 0);

describe('a host', () => {
  it('takes no more at once than its share, whatever others take', () => {
    const hosts = make(2);
    expect([hosts.turn(A, 0), hosts.turn(A, 0), hosts.turn(A, 0)]).toMatchObject([
      { kind: 'now' },
      { kind: 'now' },
      { kind: 'later' },
    ]);
    expect(hosts.turn('b.example', 0).kind).toBe('now');
  });

  it('has room again when a delivery has ended', () => {
    const hosts = make(1);
    const first = hosts.turn(A, 0);
    expect(hosts.turn(A, 1).kind).toBe('later');
    if (first.kind === 'now') first.done(ANSWERED, 5);
    expect(hosts.turn(A, 6).kind).toBe('now');
  });

  it('has those who wait come one after another, at twice the rate of its deliveries', () => {
    const hosts = make(1);
    const first = hosts.turn(A, 0);
    if (first.kind === 'now') first.done({ kind: 'nothing' }, 0);
    hosts.turn(A, 0);
    const delays = Array.from({ length: 5 }, () => delayOf(hosts.turn(A, 0)));
    expect(delays).toEqual([50, 100, 150, 200, 250]);
  });

  it('puts nobody off for more than a minute, however many wait', () => {
    const hosts = make(1);
    hosts.turn(A, 0);
    const delays = Array.from({ length: 10_000 }, () => delayOf(hosts.turn(A, 0)));
    expect(Math.max(...delays)).toBeLessThanOrEqual(60_000);
    // And none of them is asked again at once.
    expect(Math.min(...delays.slice(2_000))).toBeGreaterThanOrEqual(30_000);
  });

  it('rests after five deliveries in a row without an answer', () => {
    const hosts = make();
    failTimes(hosts, 4);
    expect(hosts.turn(A, 100).kind).toBe('now');
    const other = make();
    failTimes(other, 5);
    expect(delayOf(other.turn(A, 100))).toBeGreaterThan(4_000);
  });

  it('does not rest when it answers now and then', () => {
    const hosts = make();
    for (let time = 0; time < 10; time += 1) {
      failTimes(hosts, 4, time * 100);
      deliver(hosts, ANSWERED, { from: time * 100 + 90 });
    }
    expect(hosts.turn(A, 2_000).kind).toBe('now');
  });

  it('gets one delivery after its rest, and a longer rest when that fails', () => {
    const hosts = make(4);
    failTimes(hosts, 5);
    const probe = hosts.turn(A, 6_000);
    expect([probe.kind, hosts.turn(A, 6_000).kind]).toEqual(['now', 'later']);
    if (probe.kind === 'now') probe.done(SILENT, 6_010);
    // Twice as long as the first: 10 s.
    expect(hosts.turn(A, 15_000).kind).toBe('later');
    expect(hosts.turn(A, 16_100).kind).toBe('now');
  });

  it('is trusted again by one answer after its rest', () => {
    const hosts = make(4);
    failTimes(hosts, 5);
    deliver(hosts, ANSWERED, { from: 6_000 });
    expect([hosts.turn(A, 6_100).kind, hosts.turn(A, 6_100).kind]).toEqual(['now', 'now']);
  });

  it('rests no longer because several were under way when it fell silent', () => {
    const hosts = make(50);
    const turns = Array.from({ length: 50 }, () => hosts.turn(A, 0));
    for (const turn of turns) if (turn.kind === 'now') turn.done(SILENT, 10);
    expect(hosts.turn(A, 5_100).kind).toBe('now');
  });

  it('gets the pause that it asks for, but no more than five minutes', () => {
    const hosts = make();
    deliver(hosts, { kind: 'throttled', pauseMs: 20_000 }, { from: 0 });
    expect([hosts.turn(A, 19_000).kind, hosts.turn(A, 20_100).kind]).toEqual(['later', 'now']);
    const greedy = make();
    deliver(greedy, { kind: 'throttled', pauseMs: 1e9 }, { from: 0 });
    expect(greedy.turn(A, 300_100).kind).toBe('now');
  });

  it('is not blamed for what was given up by us', () => {
    const hosts = make();
    for (let time = 0; time < 20; time += 1) deliver(hosts, { kind: 'nothing' }, { from: time });
    expect(hosts.turn(A, 100).kind).toBe('now');
  });
});

it('remembers no more than its limit of hosts, and never forgets what is under way', () => {
  const hosts = make(1);
  const busy = hosts.turn(A, 0);
  for (let index = 0; index < 20_000; index += 1) {
    const turn = hosts.turn(`${index}.example`, 0);
    if (turn.kind === 'now') turn.done(SILENT, 1);
  }
  expect([busy.kind, hosts.turn(A, 2).kind]).toEqual(['now', 'later']);
});
