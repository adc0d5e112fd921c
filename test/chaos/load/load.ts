/** The load: clients that come at random times, each of which does what its plan says. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from '../random.ts';
import type { ClientContext } from './client.ts';
import { runOp } from './op.ts';
import { planOp } from './plan.ts';
import type { LoadMix } from './plan.ts';

/** Clients at once: more of them would only wait for each other. */
const CLIENTS_MAX = 400;

export interface Load {
  /** No client comes any more; resolves when those who came have all they want. */
  stop(): Promise<void>;
  readonly ops: number;
}

export function startLoad({
  mix,
  perSecond,
  context,
  random,
  onError,
}: {
  mix: LoadMix;
  perSecond: number;
  context: ClientContext;
  random: Random;
  /** A client that fails by itself: a mistake of the runner. */
  onError: (error: Error) => void;
}): Load {
  const stopping = new AbortController();
  const clients = new Set<Promise<void>>();
  let ops = 0;

  async function comeUntilStopped(): Promise<void> {
    const arrivals = random.fork('arrivals');
    while (!stopping.signal.aborted) {
      // Poisson: the time between two arrivals is exponential.
      const waitMs = (-Math.log(1 - arrivals.next()) / perSecond) * 1_000;
      await sleep(waitMs, null, { signal: stopping.signal }).catch(() => {});
      if (stopping.signal.aborted || clients.size >= CLIENTS_MAX) continue;
      ops += 1;
      const own = random.fork(`op-${ops}`);
      const client = runOp(planOp(ops, mix, own), context, own.fork('run'))
        .catch(onError)
        .finally(() => clients.delete(client));
      clients.add(client);
    }
  }

  const coming = comeUntilStopped();
  return {
    get ops() {
      return ops;
    },
    async stop() {
      stopping.abort();
      await coming;
      await Promise.all(clients);
    },
  };
}
