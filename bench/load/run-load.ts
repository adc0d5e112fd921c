/** One load, from its first request to the end of its last answer. */
import { randomBytes } from 'node:crypto';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Client, Pool } from 'undici';
import type { Dispatcher } from 'undici';
import { drive } from './drive.ts';
import { createExchange } from './exchange.ts';
import type { Origin } from './exchange.ts';
import type { LoadOptions, LoadResult } from './load.ts';
import { createSender } from './request.ts';
import { createTally } from './tally.ts';

/** Node's histogram has what it slept in each of its samples. */
const DELAY_RESOLUTION_MS = 2;
const ANSWER_TIMEOUT_MS = 60_000;
const NO_TIMEOUTS = { headersTimeout: 0, bodyTimeout: 0, pipelining: 1 };

/** `onFull` is called when the warm-up is over and when the time is: measure between both. */
export async function runLoad(
  options: LoadOptions,
  onFull: (phase: 'begin' | 'end') => void,
): Promise<LoadResult> {
  const { warmUpMs = 0, forMs, answerTimeoutMs = ANSWER_TIMEOUT_MS } = options;
  const tally = createTally();
  const run = randomBytes(4).toString('hex');
  const sender = createSender(answerTimeoutMs);
  const lane = createLane(options);
  const delay = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS });
  delay.enable();
  const cpu = process.cpuUsage();
  const fromMs = performance.now();

  const full = (phase: 'begin' | 'end') => () => {
    if (phase === 'begin') tally.beginFull();
    else if (tally.isFull) tally.endFull();
    onFull(phase);
  };
  if (warmUpMs === 0) full('begin')();
  const timers = [
    ...(warmUpMs === 0 ? [] : [setTimeout(full('begin'), warmUpMs)]),
    setTimeout(full('end'), forMs),
  ];
  try {
    await drive(options, { exchange: createExchange(options, { run, tally, sender }), lane });
    // A number of requests may be done before the time is over.
    if (tally.isFull) full('end')();
  } finally {
    for (const timer of timers) clearTimeout(timer);
    delay.disable();
    sender.stop();
    await lane.stop();
  }
  const { user, system } = process.cpuUsage(cpu);
  return {
    ...tally.result(),
    tookMs: performance.now() - fromMs,
    client: {
      cpuMs: (user + system) / 1_000,
      eventLoopDelayP99Ms: Math.max(0, delay.percentile(99) / 1e6 - DELAY_RESOLUTION_MS),
    },
  };
}

/** A closed loop's streams have a connection each, as clients do; an open loop takes what is free. */
function createLane({ urls, arrivals }: LoadOptions) {
  const targets = urls.map((url) => new URL(url));
  const dispatchers = new Map<number, Dispatcher>();
  const isOpen = arrivals.kind === 'open';
  return {
    origin(at: number): Origin {
      const which = at % targets.length;
      const target = targets[which];
      if (target === undefined) throw new Error('a load needs a URL');
      const key = isOpen ? which : at;
      let dispatcher = dispatchers.get(key);
      if (dispatcher === undefined) {
        dispatcher = isOpen
          ? new Pool(target.origin, NO_TIMEOUTS)
          : new Client(target.origin, NO_TIMEOUTS);
        dispatchers.set(key, dispatcher);
      }
      return { dispatcher, path: target.pathname };
    },
    async stop(): Promise<void> {
      await Promise.all([...dispatchers.values()].map((dispatcher) => dispatcher.destroy()));
    },
  };
}
