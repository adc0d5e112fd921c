/**
 * What happens to an engine as a whole, while there is another one. Each fault comes on arrival of
 * the job's first request, or in the middle of its answer.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { waitUntil } from '../../harness/wait-until.ts';
import { AGAIN, AT_ONCE, SPARED, carriedOn } from '../row.ts';
import type { Expected, LifeRow } from '../row.ts';
import type { Persona } from '../persona.ts';
import { startJob } from '../run-job.ts';
import type { StartedJob } from '../run-job.ts';
import { watchEngines } from '../world/watch-engines.ts';
import type { EngineWatch } from '../world/watch-engines.ts';
import type { Engine, Fault } from '../world/engine.ts';
import type { World } from '../world/world.ts';

const BASE = { kind: 'job', section: 'engines that fail as a whole' } as const;
/** So that the answer has not come to its end when the fault is on its way. */
const SLOWLY: Fault = { name: 'slow', params: { factor: 10 } };
const AT_SPEED: Fault = { name: 'slow', params: { factor: 1 } };
const ENDS_THE_PROCESS: ReadonlySet<Fault['name']> = new Set(['die', 'shutdown']);
const LONG = { max_tokens: 200 };
const LONG_TOKENS = 100;
/** Some steps, and much less than any timeout. */
const A_WHILE_MS = 300;

type Moment = 'on arrival' | 'in the middle';

interface Brief {
  readonly name: string;
  readonly fault: Fault;
  /** What else happens to the same engine, a while later. */
  readonly later?: Fault;
  readonly expected: Expected | ((persona: Persona) => Expected | 'not applicable');
}

const ON_ARRIVAL: readonly Brief[] = [
  { name: 'the engine dies', fault: { name: 'die' }, expected: AGAIN },
  { name: 'the engine hangs', fault: { name: 'hang' }, expected: AGAIN },
  // Its process may be gone before anybody asks what it has seen.
  {
    name: 'it shuts down',
    fault: { name: 'shutdown' },
    expected: { ...AGAIN, requests: [1, 2] },
  },
  { name: 'it crashes', fault: { name: 'restart', params: { ms: 300 } }, expected: SPARED },
  {
    name: 'it takes no more connections',
    fault: { name: 'refuse_connections', params: { ms: 500 } },
    expected: AT_ONCE,
  },
];

const IN_THE_MIDDLE: readonly Brief[] = [
  { name: 'the engine dies', fault: { name: 'die' }, expected: carriedOn },
  { name: 'the engine hangs', fault: { name: 'hang' }, expected: carriedOn },
  {
    name: 'the engine hangs and goes on',
    fault: { name: 'hang' },
    later: { name: 'resume' },
    expected: AT_ONCE,
  },
  { name: 'it shuts down', fault: { name: 'shutdown' }, expected: aborted },
  {
    name: 'it shuts down when it is done',
    fault: { name: 'shutdown', params: { mode: 'drain', ms: 10_000 } },
    expected: AT_ONCE,
  },
  { name: 'it crashes', fault: { name: 'restart', params: { ms: 300 } }, expected: carriedOn },
  { name: 'it aborts all that runs', fault: { name: 'abort_all' }, expected: aborted },
  {
    name: 'it takes no more connections',
    fault: { name: 'refuse_connections', params: { ms: 500 } },
    expected: AT_ONCE,
  },
  { name: 'it is slow', fault: { name: 'slow', params: { factor: 3 } }, expected: AT_ONCE },
  {
    name: 'its cache shrinks, and the answer fits',
    fault: { name: 'kv_shrink', params: { blocks: 64 } },
    expected: AT_ONCE,
  },
  {
    name: 'its cache shrinks, and the answer fits no more',
    fault: { name: 'kv_shrink', params: { blocks: 1 } },
    expected: carriedOn,
  },
];

/** What is not vLLM has no finish reason for that, and the simulator's says `stop`. */
function aborted(persona: Persona): Expected | 'not applicable' {
  return persona.isVllm ? carriedOn(persona) : 'not applicable';
}

export const ENGINE_LIFE: readonly LifeRow[] = [
  ...ON_ARRIVAL.map((brief) => rowOf(brief, 'on arrival')),
  ...IN_THE_MIDDLE.map((brief) => rowOf(brief, 'in the middle')),
  {
    kind: 'life',
    section: 'engines that fail as a whole',
    name: 'none listens for a second',
    faults: ['refuse_connections'],
    play: async (world) => {
      const fault: Fault = { name: 'refuse_connections', params: { ms: 1_000 } };
      await Promise.all(world.engines.map((engine) => engine.strike(fault)));
      const expected: Expected = { ...AT_ONCE, attempts: [1, 3], spared: [0, 2] };
      const watch = watchEngines(world.engines);
      const job = await startJob({ ...BASE, name: 'none listens', expected }, world);
      const judgeJob = await job.untilOver();
      return judgeJob(await watch.stop());
    },
  },
  {
    kind: 'life',
    section: 'engines that fail as a whole',
    name: 'it comes back with another model',
    faults: ['restart'],
    play: comeBackAsAnother,
  },
];

function rowOf({ name, fault, later, expected }: Brief, moment: Moment): LifeRow {
  return {
    kind: 'life',
    section: 'engines that fail as a whole',
    name: `${name}, ${moment}`,
    faults: [fault.name, ...(later === undefined ? [] : [later.name])],
    async play(world) {
      const { persona, engines } = world;
      const resolved = typeof expected === 'function' ? expected(persona) : expected;
      if (resolved === 'not applicable') return resolved;
      const watch = watchEngines(engines);
      try {
        const job = await startLong(name, {
          world,
          expected: resolved,
          ...(moment === 'on arrival' ? { fault } : {}),
        });
        if (moment === 'in the middle') {
          const struck = await strikeInTheMiddle(world, { jobId: job.jobId, fault, watch });
          if (later !== undefined) {
            await sleep(A_WHILE_MS);
            await struck.strike(later);
          }
        }
        const judgeJob = await job.untilOver();
        const { requests, injections } = await watch.stop();
        if (ENDS_THE_PROCESS.has(fault.name)) {
          await waitUntil('its process ends', () => engines.some(({ isGone }) => isGone));
          // It can no longer tell what it has done, and has shown it.
          injections.set(`${job.jobId}-1`, 1);
        }
        return judgeJob({ requests, injections });
      } finally {
        await watch.stop();
      }
    },
  };
}

/** Jobs go to the other engine from then on, and the text is its own. */
async function comeBackAsAnother(world: World): Promise<readonly string[]> {
  const fault: Fault = { name: 'restart', params: { ms: 50, served_model_name: 'another' } };
  const { persona, engines } = world;
  const first = await startLong('another model', { world, expected: carriedOn(persona) });
  const watch = watchEngines(engines);
  const struck = await strikeInTheMiddle(world, { jobId: first.jobId, fault, watch });
  const judgeFirst = await first.untilOver();
  await waitUntil('it serves another model', async () => (await modelOf(struck)) === 'another', {
    timeoutMs: 20_000,
  });
  const others = await Promise.all(
    Array.from({ length: 8 }, (_, index) =>
      startJob({ ...BASE, name: `another model ${index}`, expected: AT_ONCE }, world),
    ),
  );
  const judges = await Promise.all(others.map((job) => job.untilOver()));
  const seen = await watch.stop();
  const ids = new Set(others.map(({ jobId }) => `${jobId}-1`));
  const strays = (await struck.state()).recent.filter(({ request_id: id }) => ids.has(id ?? ''));
  await struck.strike({ name: 'restart', params: { ms: 0 } });
  await waitUntil('it serves its own model', async () => (await modelOf(struck)) === 'qarr-sim');
  return [
    ...judgeFirst(seen),
    ...judges.flatMap((judgeJob) => judgeJob(seen)),
    ...(strays.length === 0 ? [] : [`${strays.length} jobs went to the wrong model`]),
  ];
}

async function modelOf({ url }: Engine): Promise<string | undefined> {
  try {
    const response = await fetch(`${url}/v1/models`);
    return ((await response.json()) as { data: { id: string }[] }).data[0]?.id;
  } catch {
    // It is on its way.
    return undefined;
  }
}

/** Strikes the engine that answers the job, as soon as some of the answer is published. */
async function strikeInTheMiddle(
  { engines, jobs }: World,
  { jobId, fault, watch }: { jobId: string; fault: Fault; watch: EngineWatch },
): Promise<Engine> {
  await jobs.untilBegun(jobId);
  await watch.look();
  const states = await Promise.all(engines.map((engine) => engine.state()));
  const at = states.findIndex(({ recent }) =>
    recent.some(({ request_id: id, ended }) => id === `${jobId}-1` && ended === null),
  );
  const struck = engines[at];
  if (struck === undefined) throw new Error('The answer has come to its end before its middle.');
  await struck.strike(fault);
  const others = engines.filter((engine) => engine !== struck);
  await Promise.all(others.map((engine) => engine.strike(AT_SPEED)));
  // It may be on its way to its end.
  if (fault.name !== 'slow') await struck.strike(AT_SPEED).catch(() => {});
  return struck;
}

async function startLong(
  name: string,
  { world, expected, fault }: { world: World; expected: Expected; fault?: Fault },
): Promise<StartedJob> {
  if (fault === undefined) {
    await Promise.all(world.engines.map((engine) => engine.strike(SLOWLY)));
  }
  return startJob(
    {
      ...BASE,
      name,
      request: LONG,
      wants: ({ usage }) => usage.completion_tokens >= LONG_TOKENS,
      ...(fault === undefined ? {} : { faults: [fault] }),
      expected,
    },
    world,
  );
}
