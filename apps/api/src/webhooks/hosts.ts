/**
 * Whose turn it is: no host may take all deliveries, and one that does not answer is left alone for
 * a while. What cannot be delivered now costs nobody's connection and none of its own tries.
 *
 * A host is
 * - *trusted*: some deliveries go to it at once. Leaves when several in a row got no answer, or when
 *   it asks for a pause.
 * - *resting*: none goes to it until a time. Leaves by that time.
 * - *on trial*, when its rest is over and it has not answered since: one at once. An answer makes it
 *   trusted, none gives it twice as long a rest.
 */

/** Fewer may be bad luck. */
const FAILURES_MAX = 5;
const REST_MS_MIN = 5_000;
/** Longer would keep those waiting whose host is well again. */
const REST_MS_MAX = 300_000;
/** Longer than this nobody is put off: who comes too early is put off again. */
const PUT_OFF_MS_MAX = 60_000;
/**
 * Those who were put off come twice as fast as they are taken, for what was measured in a busy moment
 * is too long: to come too early costs little, a host that has nothing to do loses time.
 */
const EARLINESS = 2;
/** What a delivery takes until one has been measured. */
const DURATION_MS = 100;
/** Share of the newest delivery in the mean. */
const NEWEST_SHARE = 0.2;
/** What is remembered of a host is some 200 bytes; of more hosts the oldest are forgotten. */
const HOSTS_MAX = 10_000;

/** What a delivery has shown of its host. */
export type HostSign =
  /** It works, whatever it has answered. */
  | { kind: 'answered' }
  /** It wants to be left alone. */
  | { kind: 'throttled'; pauseMs: number }
  /** No answer, or that of a proxy before a dead server. */
  | { kind: 'silent' }
  /** Nothing: the delivery was given up by us. */
  | { kind: 'nothing' };

export type Turn =
  | { kind: 'now'; done: (sign: HostSign, now: number) => void }
  | { kind: 'later'; delayMs: number };

export interface Hosts {
  /** Call `done` once, when the delivery has ended. `now` is monotonic, in milliseconds. */
  turn(host: string, now: number): Turn;
}

interface Host {
  underWay: number;
  /** Deliveries in a row without an answer. */
  silent: number;
  restUntilMs: number;
  meanMs: number;
  /** When the next of those that were put off may come. */
  nextTurnMs: number;
}

export function createHosts({
  concurrency,
  random,
}: {
  /** Deliveries at once to one host. */
  concurrency: number;
  random: () => number;
}): Hosts {
  const hosts = new Map<string, Host>();

  function hostOf(name: string): Host {
    const known = hosts.get(name);
    if (known !== undefined) return known;
    if (hosts.size >= HOSTS_MAX) forgetOldest();
    const host = { underWay: 0, silent: 0, restUntilMs: 0, meanMs: DURATION_MS, nextTurnMs: 0 };
    hosts.set(name, host);
    return host;
  }

  function forgetOldest(): void {
    for (const [name, { underWay }] of hosts) {
      if (underWay > 0) continue;
      hosts.delete(name);
      return;
    }
  }

  /** Turns come one after another, at the rate at which the host takes deliveries. */
  function putOff(host: Host, earliestMs: number, now: number): Turn {
    const spacingMs = host.meanMs / limitOf(host, concurrency) / EARLINESS;
    const turnMs = Math.max(host.nextTurnMs, earliestMs) + spacingMs;
    // Not further: a host that is well again must not find its line in the far future.
    host.nextTurnMs = Math.min(turnMs, now + PUT_OFF_MS_MAX);
    const delayMs = Math.min(turnMs - now, PUT_OFF_MS_MAX * (0.5 + random() / 2));
    return { kind: 'later', delayMs };
  }

  return {
    turn(name, now) {
      const host = hostOf(name);
      if (now < host.restUntilMs) return putOff(host, host.restUntilMs, now);
      if (host.underWay >= limitOf(host, concurrency)) return putOff(host, now, now);
      host.underWay += 1;
      return {
        kind: 'now',
        done(sign, endedMs) {
          host.underWay -= 1;
          take(host, sign, endedMs);
          if (sign.kind !== 'nothing') {
            host.meanMs += NEWEST_SHARE * (endedMs - now - host.meanMs);
          }
          const isQuiet = host.underWay === 0 && host.silent === 0 && host.restUntilMs <= endedMs;
          if (isQuiet && host.nextTurnMs <= endedMs) hosts.delete(name);
        },
      };
    },
  };
}

function limitOf({ silent }: Host, concurrency: number): number {
  return silent >= FAILURES_MAX ? 1 : concurrency;
}

function take(host: Host, sign: HostSign, now: number): void {
  switch (sign.kind) {
    case 'answered':
      host.silent = 0;
      return;
    case 'throttled':
      host.restUntilMs = Math.max(host.restUntilMs, now + Math.min(sign.pauseMs, REST_MS_MAX));
      return;
    case 'silent':
      // One of several that were under way when the rest began says nothing new.
      if (now < host.restUntilMs) return;
      host.silent += 1;
      if (host.silent < FAILURES_MAX) return;
      host.restUntilMs =
        now + Math.min(REST_MS_MAX, REST_MS_MIN * 2 ** (host.silent - FAILURES_MAX));
      return;
    case 'nothing':
      return;
    default:
      sign satisfies never;
  }
}
