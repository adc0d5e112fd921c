/**
 * `npm run chaos`: runs the system under faults, and says whether it kept its promise. Read this
 * first, then `run.ts` (one run), `check/check.ts` (what is checked) and `docs/chaos.md`.
 */
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { codeVersion, runCommand, say } from '../harness/command.ts';
import { USAGE, describeWorld, readOptions } from './options.ts';
import type { ChaosOptions } from './options.ts';
import { formatReport, verdictOf } from './report.ts';
import { runChaos } from './run.ts';
import type { RunPlan } from './run.ts';

const ROOT = join(import.meta.dirname, '../..');
const EXIT_FAILED = 1;
/** The longest deadline that the load gives, and a minute. */
const QUIET_MS = 120_000;
const READERS_MS = 20_000;
/** Two checks of a queue for stalled entries, and some room. */
const SETTLE_MS = 15_000;
/** Up to some seconds, so that there is something to be interrupted. */
const TOKENS = [1, 300] as const;
const ENDLESS = 0.5;

await runCommand('chaos', {
  usage: USAGE,
  parsed: readOptions(process.argv.slice(2), () => randomBytes(4).toString('hex')),
  run,
});

async function run(options: ChaosOptions): Promise<number> {
  const head = {
    seed: options.seed,
    commit: await codeVersion(ROOT),
    command: commandOf(options),
    minutes: options.minutes,
    world: describeWorld(options.shape),
  };
  say(`seed ${head.seed}, commit ${head.commit}, ${head.world}`);
  const outcome = await runChaos(planOf(options), say);
  const report = formatReport(outcome, head);
  say(report);
  if (options.reportPath !== null) {
    await writeFile(options.reportPath, `# Report of a chaos run\n\n${report}`);
  }
  if (outcome.folder !== null) say(`logs of the processes: ${outcome.folder}`);
  say(verdictOf(outcome));
  return outcome.violations.length + outcome.mistakes.length === 0 ? 0 : EXIT_FAILED;
}

function planOf(options: ChaosOptions): RunPlan {
  const { nemesis, faults, shape } = options;
  return {
    seed: options.seed,
    loadMs: options.minutes * 60_000,
    quietMs: QUIET_MS,
    readersMs: READERS_MS,
    settleMs: SETTLE_MS,
    perSecond: options.perSecond,
    shape,
    mix: {
      gentle: nemesis !== 'faults',
      tiers: shape.tiers.map(({ name }) => name),
      keys: options.keys,
      deletes: options.deletes,
      lists: options.lists,
      maxTokens: TOKENS,
      endless: ENDLESS,
    },
    nemesis: nemesis === 'faults' ? { kind: 'faults', faults } : { kind: nemesis },
    source: resolve(options.source ?? ROOT),
    historyPath: options.historyPath,
  };
}

function commandOf(options: ChaosOptions): string {
  const flags = [
    `--minutes ${options.minutes}`,
    `--seed ${options.seed}`,
    `--rate ${options.perSecond}`,
    ...options.flags,
  ];
  return `npm run chaos -- ${flags.join(' ')}`;
}
