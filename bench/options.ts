/** The flags of the bench. */
import { parseArgs } from 'node:util';
import type { ParsedFlags } from '../test/harness/command.ts';
import { SCENARIOS } from './scenarios/list.ts';

const DEFAULT_FOLDER = '.qarr/bench';
const ROUNDS_MAX = 100;
const SEED_MAX = 0xffff_ffff;

export interface BenchOptions {
  readonly isQuick: boolean;
  /** Names of scenarios, in their order. */
  readonly only: readonly string[];
  /** A commit to be measured beside these sources. */
  readonly against: string | null;
  /** Where the report is written. */
  readonly folder: string;
  readonly seed: number;
  /** Null: as many as each scenario asks for. */
  readonly rounds: number | null;
  readonly withLitellm: boolean;
  /** A target that is missed is a failure. */
  readonly isStrict: boolean;
  /** Put the report into the documentation. */
  readonly writesDocs: boolean;
  /** Whoever else works meanwhile. */
  readonly takesAnyNoise: boolean;
  /** As they were typed, but for the seed and the folder: to be said again. */
  readonly flags: readonly string[];
}

export const USAGE = `npm run bench: QARR beside its floor and its peers, in one run on this machine

  --quick        the main scenarios, in less than two minutes
  --only A,B     these scenarios (all of them); a name that ends with * stands for all that begin so
  --rounds N     of each load (3, and 5 where a target depends on it; --quick: 2)
  --against REV  measures the sources of a commit beside these, and says what has become worse
  --litellm      measures the LiteLLM proxy, too: Python, and installed from PyPI the first time
  --strict       a target that is missed, or a figure that has become worse, is a failure
  --seed N       draws the arrivals of open loops; without it one is drawn
  --report DIR   writes report.json, report.md, index.html and plots there (${DEFAULT_FOLDER})
  --write-docs   puts the report into docs/performance.md, and its plots beside it
  --any-noise    takes each slice, whatever else the machine does: its times are worth nothing

scenarios: ${SCENARIOS.map(({ name }) => name).join(' ')}`;

export function readOptions(
  args: readonly string[],
  drawSeed: () => number,
): ParsedFlags<BenchOptions> {
  let values;
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: {
        quick: { type: 'boolean', default: false },
        only: { type: 'string' },
        rounds: { type: 'string' },
        against: { type: 'string' },
        litellm: { type: 'boolean', default: false },
        strict: { type: 'boolean', default: false },
        seed: { type: 'string' },
        report: { type: 'string', default: DEFAULT_FOLDER },
        'write-docs': { type: 'boolean', default: false },
        'any-noise': { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    }));
  } catch (error) {
    return refused((error as Error).message.split('\n', 1)[0] ?? 'a flag is wrong');
  }
  if (values.help) return { kind: 'help' };
  const { quick: isQuick, only, against = null } = values;
  const chosen = only === undefined ? namesOf(isQuick) : namesLike(only.split(','));
  if (typeof chosen === 'string') return refused(`--only: there is no scenario ${chosen}`);
  const rounds = values.rounds === undefined ? null : wholeNumber(values.rounds, ROUNDS_MAX);
  if (rounds === 'none' || rounds === 0) {
    return refused(`--rounds must be a whole number from 1 to ${ROUNDS_MAX}`);
  }
  const seed = values.seed === undefined ? drawSeed() : wholeNumber(values.seed, SEED_MAX);
  if (seed === 'none') return refused(`--seed must be a whole number up to ${SEED_MAX}`);
  if (against?.startsWith('-') === true || against === '') {
    return refused('--against must be a commit');
  }
  return {
    kind: 'run',
    options: {
      isQuick,
      only: chosen,
      against,
      folder: values.report,
      seed,
      rounds,
      withLitellm: values.litellm,
      isStrict: values.strict,
      writesDocs: values['write-docs'],
      takesAnyNoise: values['any-noise'],
      flags: [
        ...(['quick', 'litellm', 'any-noise'] as const).flatMap((name) =>
          values[name] ? [`--${name}`] : [],
        ),
        ...(['only', 'rounds', 'against'] as const).flatMap((name) =>
          values[name] === undefined ? [] : [`--${name} ${values[name]}`],
        ),
      ],
    },
  };
}

function namesOf(isQuick: boolean): string[] {
  return SCENARIOS.filter((scenario) => !isQuick || scenario.isQuick).map(({ name }) => name);
}

/** In the order of the scenarios; the first pattern that fits none, where there is one. */
function namesLike(patterns: readonly string[]): string[] | string {
  const names = SCENARIOS.map(({ name }) => name);
  const unknown = patterns.find((pattern) => !names.some((name) => fits(name, pattern)));
  if (unknown !== undefined) return unknown === '' ? 'without a name' : unknown;
  return names.filter((name) => patterns.some((pattern) => fits(name, pattern)));
}

function fits(name: string, pattern: string): boolean {
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
}

function wholeNumber(text: string, max: number): number | 'none' {
  const number = Number(text);
  return /^\d+$/.test(text) && number <= max ? number : 'none';
}

function refused(message: string): ParsedFlags<BenchOptions> {
  return { kind: 'refused', message };
}
