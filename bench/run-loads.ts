/** Loads of one shape: all paths run at once, and one after another is loaded, in another order each round. */
import type { Arrivals, LoadOptions } from './load/load.ts';
import { rotated } from './measure/spread.ts';
import { takeSlice } from './measure/slice.ts';
import type { Slice } from './measure/slice.ts';
import type { Taken } from './measure/quiet.ts';
import type { Path, Shape } from './paths/path.ts';
import { figuresOf } from './report/figures.ts';
import type { Failure, RunResult, Sample } from './result.ts';
import type { RunContext } from './run-context.ts';
import { ONE_OF_EACH, takesPart } from './scenarios/scenario.ts';
import type { LoadScenario } from './scenarios/scenario.ts';
import { startWorld } from './world.ts';
import type { LivePath, World } from './world.ts';

const FOR_MS = 2_000;
const QUICK_FOR_MS = 600;
const ROUNDS = 3;
const TARGET_ROUNDS = 5;
const QUICK_ROUNDS = 2;
/** New processes cost three times as much per token as those that have worked for some seconds. */
const WARM_UPS: readonly (Pick<LoadOptions, 'tokens' | 'forMs'> & { readonly streams: number })[] =
  [
    { streams: 50, tokens: 1, forMs: 1_500 },
    { streams: 50, tokens: 64, forMs: 1_000 },
  ];
const PROMPT_BYTES = 700;

export async function runLoads(
  scenarios: readonly LoadScenario[],
  { paths, context }: { paths: readonly Path[]; context: RunContext },
): Promise<Pick<RunResult, 'samples' | 'failures'>> {
  const { folder, signal } = context;
  const shape: Shape = scenarios[0]?.shape ?? ONE_OF_EACH;
  const asked = paths.filter(({ name }) => scenarios.some((one) => takesPart(name, one)));
  const world = await startWorld(asked, { folder, shape, signal });
  try {
    // What is worth nothing needs no warm processes.
    const failures = context.options.takesAnyNoise ? [] : await warmUp(world, context);
    const samples: Sample[] = [];
    for (const scenario of scenarios) {
      const found = await runLoadScenario(scenario, { world, context });
      samples.push(...found.samples);
      failures.push(...found.failures);
    }
    return { samples, failures };
  } finally {
    await world.stop();
  }
}

async function warmUp(
  world: World,
  { runLoad, options: { isQuick } }: RunContext,
): Promise<Failure[]> {
  const failures: Failure[] = [];
  await world.upstream.set({ stepMs: 0 });
  for (const [name, path] of world.paths) {
    for (const { streams, forMs, ...load } of WARM_UPS) {
      const { firstError } = await takeSlice(
        path,
        {
          ...load,
          forMs: isQuick ? forMs / 3 : forMs,
          model: world.upstream.model,
          arrivals: { kind: 'closed', concurrency: streams },
          promptBytes: PROMPT_BYTES,
        },
        runLoad,
      );
      if (firstError !== null) {
        failures.push({ scenario: 'warm-up', path: name, message: firstError });
      }
    }
  }
  return failures;
}

async function runLoadScenario(
  scenario: LoadScenario,
  { world, context }: { world: World; context: RunContext },
): Promise<Pick<RunResult, 'samples' | 'failures'>> {
  const { options, gate, runLoad, signal, say } = context;
  const { name, load, stepMs, isTarget = false } = scenario;
  const paths = [...world.paths.values()].filter((path) => takesPart(path.name, scenario));
  await world.upstream.set({ stepMs });
  const usual = options.isQuick ? QUICK_ROUNDS : isTarget ? TARGET_ROUNDS : ROUNDS;
  const rounds = options.rounds ?? usual;
  const taken: (Taken<Slice> & { path: string; round: number })[] = [];
  const failures: Failure[] = [];
  say(`${name}: ${paths.map((path) => path.name).join(', ')}`);

  const slice = (path: LivePath, round: number) =>
    takeSlice(
      path,
      {
        forMs: options.isQuick ? QUICK_FOR_MS : FOR_MS,
        ...load,
        arrivals: seeded(load.arrivals, options.seed + round),
        model: world.upstream.model,
      },
      runLoad,
    );

  // Each load is another one: the first slice of it, of each path, is for warming up.
  if (!options.isQuick && !options.takesAnyNoise) for (const path of paths) await slice(path, 0);
  for (let round = 0; round < rounds; round += 1) {
    for (const path of rotated(paths, round)) {
      signal.throwIfAborted();
      const one = await gate.take(() => slice(path, round), signal);
      const { firstError, errors } = one.slice;
      if (firstError === null && Object.keys(errors).length === 0) {
        taken.push({ ...one, path: path.name, round });
      } else {
        failures.push({ scenario: name, path: path.name, message: firstError ?? 'unknown' });
      }
    }
  }
  const failed = new Set(failures.map(({ path }) => path));
  const whole = taken.filter(({ path }) => !failed.has(path));
  const samples = whole.map(({ path, round, slice: own, foreignShare, thrownAway }) => {
    const direct = whole.find((other) => other.path === 'direct' && other.round === round);
    const figures = figuresOf(own, direct?.slice ?? null);
    return { scenario: name, path, round, figures, slice: own, foreignShare, thrownAway };
  });
  return { samples, failures };
}

function seeded(arrivals: Arrivals, seed: number): Arrivals {
  return arrivals.kind === 'open' ? { ...arrivals, seed } : arrivals;
}
