/**
 * The load generator: a process of its own, so that what it measures is not held up by what the
 * experiment does. Started by `generator.ts`; all it knows comes in messages.
 */
import { Agent } from 'node:http';
import { createRandom } from '../../chaos/random.ts';
import type { Random } from '../../chaos/random.ts';
import { createArrivals } from './arrivals.ts';
import { startBatchFeed } from './batch-feed.ts';
import type { BatchFeed } from './batch-feed.ts';
import { blank, runRequest } from './client.ts';
import type { ClientDeps } from './client.ts';
import type { Command, Report } from './messages.ts';
import { drawWish } from './mix.ts';
import type { LoadMix, Wish } from './mix.ts';
import { nowMs } from './outcome.ts';
import type { Outcome } from './outcome.ts';

const TICK_MS = 2;
const REPORT_EVERY_MS = 200;
/** Below the open files that a process may commonly have. */
const OPEN_MAX = 8_000;
/** Connections that wait for the next request. */
const IDLE_SOCKETS_MAX = 256;

const agent = new Agent({ keepAlive: true, maxFreeSockets: IDLE_SOCKETS_MAX });
const over = new AbortController();
const deps: ClientDeps = { agent, over: over.signal };
/** Since the last report, but for what is open. */
const news = {
  open: 0,
  outcomes: [] as Outcome[],
  controlsMs: [] as number[],
  linesDoneMs: [] as number[],
  lateMsMax: 0,
};
let load: ReturnType<typeof createLoad> | null = null;

process.on('message', (message) => void obey(message as Command));
// The experiment is gone, and with it every reason to go on.
process.once('disconnect', () => process.exit());
tell({ kind: 'ready' });

async function obey(command: Command): Promise<void> {
  if (command.kind === 'begin') {
    load = createLoad(command);
    return;
  }
  if (load === null) throw new Error('It has not begun.');
  switch (command.kind) {
    case 'rate':
      return load.setRate(command);
    case 'closed loop':
      return load.setClients(command.clients);
    case 'feed':
      return load.feed(command);
    case 'stop feed':
      return load.stopFeed();
    case 'end':
      over.abort();
      await load.stop();
      tell({ kind: 'over' });
      process.disconnect();
      return;
    default:
      command satisfies never;
  }
}

function createLoad({ apis, mix, seed }: Extract<Command, { kind: 'begin' }>) {
  const random = createRandom(seed);
  const arrivals = createArrivals(random.fork('arrivals'));
  const wishes = random.fork('wishes');
  const running = new Set<Promise<void>>();
  let classes = mix.classes;
  let clients: Readonly<Record<string, number>> = {};
  let feeding: BatchFeed | null = null;

  function send(wish: Wish, dueMs: number): Promise<void> {
    if (news.open >= OPEN_MAX) {
      news.outcomes.push({ ...blank(wish, dueMs), end: 'not sent' });
      return Promise.resolve();
    }
    news.open += 1;
    news.lateMsMax = Math.max(news.lateMsMax, nowMs() - dueMs);
    const request = runRequest({ wish, dueMs, apiUrl: wishes.pick(apis) }, deps)
      .then((outcome) => void news.outcomes.push(outcome))
      .finally(() => {
        news.open -= 1;
        running.delete(request);
      });
    running.add(request);
    return request;
  }

  async function loopClosed(tier: string, index: number, own: Random): Promise<void> {
    const isWanted = () => index < (clients[tier] ?? 0) && !over.signal.aborted;
    const only = mixOf(mix, tier);
    while (isWanted()) await send({ ...drawWish(only, own), isPinned: true }, nowMs());
  }

  const clock = setInterval(() => {
    for (const dueMs of arrivals.due(nowMs()))
      void send(drawWish({ ...mix, classes }, wishes), dueMs);
  }, TICK_MS);
  const reporting = setInterval(() => {
    report();
    void control(apis[0] ?? '');
  }, REPORT_EVERY_MS);

  function report(): void {
    const { outcomes, controlsMs, linesDoneMs, lateMsMax, open } = news;
    tell({
      kind: 'progress',
      outcomes,
      controlsMs,
      linesDoneMs,
      lateMsMax,
      open,
      feed: feeding?.counts ?? null,
    });
    news.outcomes = [];
    news.controlsMs = [];
    news.linesDoneMs = [];
    news.lateMsMax = 0;
  }

  return {
    setRate(command: Extract<Command, { kind: 'rate' }>) {
      ({ classes } = command);
      arrivals.setRate(command.perSecond, nowMs());
    },
    setClients(wanted: Readonly<Record<string, number>>) {
      const before = clients;
      clients = wanted;
      for (const [tier, count] of Object.entries(wanted)) {
        for (let index = before[tier] ?? 0; index < count; index += 1) {
          void loopClosed(tier, index, random.fork(`client-${tier}-${index}`));
        }
      }
    },
    feed({ lines, window }: { lines: number; window: number }) {
      const batch = { ...mix, classes: { interactive: 0, standard: 0, batch: 1 } };
      feeding = startBatchFeed({
        apis,
        mix: batch,
        random: random.fork('batch'),
        lines,
        window,
        onDone: (doneMs) => void news.linesDoneMs.push(doneMs),
      });
    },
    async stopFeed() {
      await feeding?.stop();
      // What is looked for: no line is out any more.
      feeding = null;
    },
    async stop() {
      clearInterval(clock);
      await feeding?.stop();
      await Promise.all(running);
      clearInterval(reporting);
      report();
      agent.destroy();
    },
  };
}

/** Of chats that are pinned to one tier. */
function mixOf(mix: LoadMix, tier: string): LoadMix {
  return {
    tiers: mix.tiers.filter(({ name }) => name === tier),
    classes: { interactive: 1, standard: 0, batch: 0 },
  };
}

/** How long an answer takes that costs nothing. */
async function control(apiUrl: string): Promise<void> {
  const sentMs = nowMs();
  const response = await fetch(`${apiUrl}/healthz`, { signal: over.signal }).catch(() => null);
  await response?.text().catch(() => '');
  if (response !== null) news.controlsMs.push(nowMs() - sentMs);
}

function tell(report: Report): void {
  process.send?.(report);
}
