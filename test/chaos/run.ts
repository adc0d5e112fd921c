/**
 * One run: a world, a load, a nemesis; then peace, in which everything must come to its end; then
 * the checks. Read this after `main.ts`.
 */
import { dumpRedis } from './check/dump.ts';
import { checkAll } from './check/check.ts';
import { gatherEvidence } from './check/evidence.ts';
import type { Violation } from './check/evidence.ts';
import { tally } from './check/tally.ts';
import type { Tally } from './check/tally.ts';
import { createHistory } from './history.ts';
import type { History } from './history.ts';
import type { ClientContext } from './load/client.ts';
import { startLoad } from './load/load.ts';
import type { LoadMix } from './load/plan.ts';
import type { Fault } from './nemesis/fault.ts';
import { startNemesis, startRolling } from './nemesis/nemesis.ts';
import type { Nemesis } from './nemesis/nemesis.ts';
import { countWorking, listAll, lookUpAll, settledDump, untilAllIsOver } from './quiet.ts';
import { createRandom } from './random.ts';
import { askUndisturbed } from './undisturbed.ts';
import { startWorld } from './world/world.ts';
import type { World } from './world/world.ts';
import type { WorldShape } from './world/shape.ts';
import { setTimeout as sleep } from 'node:timers/promises';

/** L2: so long after the faults every worker uses its engines again. */
const READY_TIMEOUT_MS = 60_000;

export interface RunPlan {
  readonly seed: string;
  /** Of faults, and of clients who come; or those come only for the first part of it. */
  readonly loadMs: number;
  readonly arrivalsMs?: number;
  /** After the faults, until every job is over. */
  readonly quietMs: number;
  /** After that, until every reader has seen it. */
  readonly readersMs: number;
  /** After that, until queues and indexes are empty. */
  readonly settleMs: number;
  readonly perSecond: number;
  readonly shape: WorldShape;
  readonly mix: LoadMix;
  readonly nemesis:
    | { readonly kind: 'roll' }
    | { readonly kind: 'none' }
    | {
        readonly kind: 'faults';
        readonly faults: readonly Fault[];
        readonly pauseMs?: readonly [min: number, max: number];
      };
  /** Root of the workspace whose processes are started. */
  readonly source: string;
  readonly historyPath: string | null;
}

export interface RunOutcome {
  readonly tally: Tally;
  readonly violations: readonly Violation[];
  /** Mistakes of the runner itself: a run with any proves nothing. */
  readonly mistakes: readonly string[];
  /** Logs and data of the processes; null where they are gone. */
  readonly folder: string | null;
  readonly history: History;
}

export async function runChaos(
  plan: RunPlan,
  say: (line: string) => void = () => {},
): Promise<RunOutcome> {
  const history = createHistory({ path: plan.historyPath });
  const world = await startWorld({ source: plan.source, shape: plan.shape, history });
  let keepsFolder = true;
  try {
    if (!(await world.untilReady({ timeoutMs: READY_TIMEOUT_MS }))) {
      throw new Error('the world does not get ready');
    }
    const outcome = await runIn(world, { plan, history, say });
    keepsFolder = outcome.violations.length + outcome.mistakes.length > 0;
    return { ...outcome, folder: keepsFolder ? world.folder : null, history };
  } finally {
    await world.stop({ keepsFolder });
    await history.close();
  }
}

async function runIn(
  world: World,
  { plan, history, say }: { plan: RunPlan; history: History; say: (line: string) => void },
): Promise<Pick<RunOutcome, 'tally' | 'violations' | 'mistakes'>> {
  const random = createRandom(plan.seed);
  const mistakes: string[] = [];
  const onError = (error: Error) => void mistakes.push(error.message);
  const givenUp = new AbortController();
  const context: ClientContext = {
    apis: world.apis,
    history,
    givenUp: givenUp.signal,
    newest: new Map(),
  };

  history.record({ t: 'phase', phase: 'load' });
  const load = startLoad({
    mix: plan.mix,
    perSecond: plan.perSecond,
    context,
    random: random.fork('load'),
    onError,
  });
  const nemesis = startNemesisOf(plan, { world, history, onError });
  const { loadMs, arrivalsMs = loadMs } = plan;
  await sleep(arrivalsMs);
  const clients = load.stop();
  await sleep(loadMs - arrivalsMs);
  await nemesis.stop();
  await world.heal();
  history.record({ t: 'phase', phase: 'quiet' });
  const isReady = world.untilReady({ timeoutMs: READY_TIMEOUT_MS });
  say(`${load.ops} requests; faults are over, waiting for what is open`);

  if (!(await untilAllIsOver(world, { timeoutMs: plan.quietMs }))) say('not everything is over');
  const late = setTimeout(() => givenUp.abort(), plan.readersMs);
  await clients;
  clearTimeout(late);
  history.record({ t: 'phase', phase: 'over' });

  const heardOf = new Set(
    history.entries.flatMap((entry) =>
      'jobId' in entry && entry.jobId !== null ? [entry.jobId] : [],
    ),
  );
  const last = new AbortController();
  const lastCall = setTimeout(() => last.abort(), plan.readersMs);
  await lookUpAll([...heardOf], { ...context, givenUp: last.signal }, random.fork('late'));
  clearTimeout(lastCall);

  const engines = await countWorking(world);
  const dump = await settledDump(() => dumpRedis(world.redis.observer), {
    timeoutMs: plan.settleMs,
  });
  if (plan.mix.lists) await listAll({ ...context, givenUp: AbortSignal.timeout(plan.readersMs) });
  say(`${dump.jobs.size} jobs in Redis; comparing`);
  const undisturbed = await askUndisturbed(dump, random.fork('sample'));
  const evidence = gatherEvidence(history.entries, dump, {
    undisturbed,
    engines,
    isReady: await isReady,
    gentle: plan.mix.gentle,
  });
  return { tally: tally(evidence), violations: checkAll(evidence), mistakes };
}

function startNemesisOf(
  { nemesis, seed }: RunPlan,
  options: { world: World; history: History; onError: (error: Error) => void },
): Nemesis {
  switch (nemesis.kind) {
    case 'none':
      return { async stop() {} };
    case 'roll':
      return startRolling(options);
    case 'faults': {
      const random = createRandom(seed).fork('nemesis');
      return startNemesis({ ...options, ...nemesis, random });
    }
    default:
      return nemesis satisfies never;
  }
}
