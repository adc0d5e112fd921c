/** The flags of the overload command. */
import { parseArgs } from 'node:util';
import type { ParsedFlags } from '../harness/command.ts';

const FACTORS = [0.5, 1, 2, 5, 10];
/** Beyond it, the load generator would have to be more than one process. */
const FACTOR_MAX = 20;
const LEVEL_SECONDS = 60;
const LEVEL_SECONDS_MAX = 3_600;
const MINUTES_MAX = 1_440;
const LEVELS_MAX = 20;
const DEFAULT_FOLDER = '.qarr/overload';

const PARTS = ['levels', 'batch', 'kill'] as const;
export type Part = (typeof PARTS)[number];

export interface OverloadOptions {
  readonly seed: string;
  readonly factors: readonly number[];
  readonly levelMs: number;
  readonly parts: readonly Part[];
  /** Where the report and its curves are written. */
  readonly folder: string;
  /** As they were typed, but for the seed and the folder: to be said again. */
  readonly flags: readonly string[];
}

export type Options = ParsedFlags<OverloadOptions>;

export const USAGE = `npm run overload: more load than simulated tiers can do, a batch beside it, and an engine that is killed

  --only levels|batch|kill  one of the three parts (all of them)
  --levels A,B,C            multiples of the capacity that is measured first (${FACTORS.join()});
                            then it goes back to 0.5
  --level-seconds N         of each level, and of each of the four turns of the batch; the engine is
                            gone as long, but at most a minute (${LEVEL_SECONDS})
  --minutes N               of load in all levels and turns together, in place of --level-seconds
  --seed S                  draws the load; without it one is drawn
  --report DIR              writes overload-report.md and overload/*.svg there (${DEFAULT_FOLDER})`;

export function readOptions(args: readonly string[], drawSeed: () => string): Options {
  let values;
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: {
        only: { type: 'string' },
        levels: { type: 'string' },
        'level-seconds': { type: 'string' },
        minutes: { type: 'string' },
        seed: { type: 'string' },
        report: { type: 'string', default: DEFAULT_FOLDER },
        help: { type: 'boolean', default: false },
      },
    }));
  } catch (error) {
    return refused((error as Error).message.split('\n', 1)[0] ?? 'a flag is wrong');
  }
  if (values.help) return { kind: 'help' };
  const { only, levels, minutes, 'level-seconds': levelSeconds } = values;
  const parts = PARTS.filter((part) => only === undefined || part === only);
  if (parts.length === 0) return refused('--only must be levels, batch or kill');
  const factors = levels === undefined ? FACTORS : factorsIn(levels);
  if (factors === null) {
    return refused(`--levels must be up to ${LEVELS_MAX} numbers up to ${FACTOR_MAX}`);
  }
  if (minutes !== undefined && levelSeconds !== undefined) {
    return refused('--minutes and --level-seconds exclude each other');
  }
  const seconds = numberIn(levelSeconds ?? String(LEVEL_SECONDS), LEVEL_SECONDS_MAX);
  if (seconds === null)
    return refused(`--level-seconds must be a number up to ${LEVEL_SECONDS_MAX}`);
  const total = numberIn(minutes ?? '1', MINUTES_MAX);
  if (total === null) return refused(`--minutes must be a number up to ${MINUTES_MAX}`);
  const pieces = piecesOf(parts, factors);
  return {
    kind: 'run',
    options: {
      seed: values.seed ?? drawSeed(),
      factors,
      levelMs: Math.round(minutes === undefined ? seconds * 1_000 : (total * 60_000) / pieces),
      parts,
      folder: values.report,
      flags: (['only', 'levels', 'level-seconds', 'minutes'] as const).flatMap((name) =>
        values[name] === undefined ? [] : [`--${name} ${values[name]}`],
      ),
    },
  };
}

/** Levels with the step down, and turns of the batch; a kill has times of its own. */
function piecesOf(parts: readonly Part[], factors: readonly number[]): number {
  const turns = 4;
  const pieces =
    (parts.includes('levels') ? factors.length + 1 : 0) + (parts.includes('batch') ? turns : 0);
  return Math.max(1, pieces);
}

function factorsIn(text: string): number[] | null {
  const factors = text.split(',').map((part) => numberIn(part, FACTOR_MAX));
  if (factors.length > LEVELS_MAX || factors.includes(null)) return null;
  return factors.flatMap((factor) => factor ?? []);
}

/** Above 0; null where it is no such number. */
function numberIn(text: string, max: number): number | null {
  const number = Number(text);
  return text.trim() !== '' && number > 0 && number <= max ? number : null;
}

function refused(message: string): Options {
  return { kind: 'refused', message };
}
