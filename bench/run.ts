/** A run: the scenarios one after another, those of one shape of processes beside each other in the same ones. */
import type { BenchOptions } from './options.ts';
import { startLoad } from './load/start-load.ts';
import { createGate, openGate } from './measure/quiet.ts';
import type { Path } from './paths/path.ts';
import { ASKED_FOR, PATHS } from './paths/list.ts';
import type { QarrPath } from './paths/qarr.ts';
import type { Failure, RunResult, Sample } from './result.ts';
import type { RunContext } from './run-context.ts';
import { runLoads } from './run-loads.ts';
import { SCENARIOS } from './scenarios/list.ts';
import { takesPart } from './scenarios/scenario.ts';
import type { LoadScenario, OwnContext, OwnScenario } from './scenarios/scenario.ts';

export async function runBench({
  options,
  qarrs,
  folder,
  signal,
  say,
}: {
  options: BenchOptions;
  /** These sources, and those that they are compared with. */
  qarrs: readonly QarrPath[];
  folder: string;
  signal: AbortSignal;
  say: (line: string) => void;
}): Promise<RunResult> {
  const beganMs = performance.now();
  const sayWhen = (line: string) => {
    const seconds = Math.round((performance.now() - beganMs) / 1_000);
    say(`${String(seconds).padStart(5)} s  ${line}`);
  };
  const load = await startLoad();
  const context: RunContext = {
    options,
    folder,
    signal,
    gate: options.takesAnyNoise ? openGate : createGate(),
    runLoad: (one) => load.run(one),
    say: sayWhen,
  };
  const samples: Sample[] = [];
  const failures: Failure[] = [];
  try {
    const chosen = SCENARIOS.filter(({ name }) => options.only.includes(name));
    const loads = chosen.filter((scenario) => scenario.kind === 'load');
    const { paths, leftOut } = await prepare(
      [...PATHS, ...(options.withLitellm ? ASKED_FOR : []), ...qarrs],
      loads,
    );
    for (const { path, reason } of leftOut) sayWhen(`left out: ${path}: ${reason}`);
    const groups = Map.groupBy(loads, ({ shape }) => `${shape.apis} API, ${shape.workers} worker`);
    for (const [name, group] of groups) {
      sayWhen(`processes: ${name}`);
      const found = await runLoads(group, { paths, context });
      samples.push(...found.samples);
      failures.push(...found.failures);
    }
    for (const scenario of chosen.filter((one) => one.kind === 'own')) {
      for (const qarr of qarrs) {
        const found = await runOwn(scenario, { qarr, context });
        samples.push(...found.samples);
        failures.push(...found.failures);
      }
    }
    return { samples, failures, leftOut, tookMs: performance.now() - beganMs };
  } finally {
    await load.stop();
  }
}

/** Those that some load names, and that are there. QARR of other sources goes wherever QARR goes. */
async function prepare(
  paths: readonly Path[],
  loads: readonly LoadScenario[],
): Promise<{ paths: Path[]; leftOut: { path: string; reason: string }[] }> {
  const asked = paths.filter(({ name }) => loads.some((load) => takesPart(name, load)));
  const leftOut: { path: string; reason: string }[] = [];
  for (const { name, prepare: install } of asked) {
    const reason = (await install?.()) ?? null;
    if (reason !== null) leftOut.push({ path: name, reason });
  }
  const missing = new Set(leftOut.map(({ path }) => path));
  return { paths: asked.filter(({ name }) => !missing.has(name)), leftOut };
}

async function runOwn(
  scenario: OwnScenario,
  { qarr, context }: { qarr: QarrPath; context: RunContext },
): Promise<Pick<RunResult, 'samples' | 'failures'>> {
  const { options, folder, signal, gate, runLoad, say } = context;
  const { name } = scenario;
  say(`${name}: ${qarr.name}`);
  const own: OwnContext = {
    folder: `${folder}/${name}`,
    signal,
    gate,
    runLoad,
    isQuick: options.isQuick,
  };
  try {
    const rounds = await scenario.run(qarr, own);
    const samples = rounds.map((figures, round) => ({
      scenario: name,
      path: qarr.name,
      round,
      figures,
      slice: null,
      foreignShare: null,
      thrownAway: 0,
    }));
    return { samples, failures: [] };
  } catch (error) {
    signal.throwIfAborted();
    const message = error instanceof Error ? error.message : String(error);
    return { samples: [], failures: [{ scenario: name, path: qarr.name, message }] };
  }
}
