/** The flags of the chaos command. */
import { parseArgs } from 'node:util';
import type { ParsedFlags } from '../harness/command.ts';
import { FAULTS } from './nemesis/faults.ts';
import type { Fault } from './nemesis/fault.ts';
import { FULL_WORLD, SMALL_WORLD } from './world/shape.ts';
import type { WorldShape } from './world/shape.ts';

const PER_SECOND = 5;
/** A day: whoever wants more starts it again with another seed. */
const MINUTES_MAX = 1_440;
const PER_SECOND_MAX = 1_000;

/** What a load can do without. */
const LEFT_OUT = ['keys', 'deletes', 'lists'];

const DEFAULTS = { world: 'full', without: '', faults: undefined, only: undefined } as const;

export interface ChaosOptions {
  readonly minutes: number;
  readonly seed: string;
  readonly perSecond: number;
  readonly shape: WorldShape;
  readonly nemesis: 'faults' | 'roll' | 'none';
  readonly faults: readonly Fault[];
  readonly reportPath: string | null;
  readonly historyPath: string | null;
  readonly source: string | null;
  readonly keys: boolean;
  readonly deletes: boolean;
  readonly lists: boolean;
  /** As they were typed, but for those that are said anyway: to be said again. */
  readonly flags: readonly string[];
}

export type Options = ParsedFlags<ChaosOptions>;

export const USAGE = `npm run chaos: the real processes under load, while they are killed, frozen and cut off

  --minutes N       of load and faults; then all must come to its end (1)
  --seed S          draws the load and the faults; without it one is drawn
  --rate N          requests per second (${PER_SECOND})
  --world full|small  ${describeWorld(FULL_WORLD)}; or ${describeWorld(SMALL_WORLD)} (full)
  --faults a,b,c    only these; see below
  --only roll|none  roll: SIGTERM to each process in turn, each 10 s, and nothing may fail;
                    none: no fault at all, and nothing may fail
  --report FILE     writes the report as Markdown
  --history FILE    keeps what every client sent and saw, one JSON object per line
  --without a,b     leaves out keys (Idempotency-Key), deletes or lists
  --source DIR      root of another copy of this workspace, whose processes are started

Faults:
${FAULTS.map(({ name, help }) => `  ${name.padEnd(16)}  ${help}`).join('\n')}`;

export function readOptions(args: readonly string[], drawSeed: () => string): Options {
  let values;
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: {
        minutes: { type: 'string', default: '1' },
        seed: { type: 'string' },
        rate: { type: 'string', default: String(PER_SECOND) },
        world: { type: 'string', default: DEFAULTS.world },
        faults: { type: 'string' },
        only: { type: 'string' },
        report: { type: 'string' },
        history: { type: 'string' },
        source: { type: 'string' },
        without: { type: 'string', default: DEFAULTS.without },
        help: { type: 'boolean', default: false },
      },
    }));
  } catch (error) {
    return refused((error as Error).message.split('\n', 1)[0] ?? 'a flag is wrong');
  }
  if (values.help) return { kind: 'help' };
  const minutes = numberIn(values.minutes, MINUTES_MAX);
  if (minutes === null) return refused(`--minutes must be a number up to ${MINUTES_MAX}`);
  const perSecond = numberIn(values.rate, PER_SECOND_MAX);
  if (perSecond === null) return refused(`--rate must be a number up to ${PER_SECOND_MAX}`);
  const shape = { full: FULL_WORLD, small: SMALL_WORLD }[values.world];
  if (shape === undefined) return refused('--world must be full or small');
  const { only } = values;
  if (only !== undefined && only !== 'roll' && only !== 'none') {
    return refused('--only must be roll or none');
  }
  if (only !== undefined && values.faults !== undefined) {
    return refused('--only and --faults exclude each other');
  }
  const names = values.faults?.split(',') ?? FAULTS.map(({ name }) => name);
  const unknown = names.find((name) => !FAULTS.some((fault) => fault.name === name));
  if (unknown !== undefined) return refused(`--faults: there is no ${unknown}`);
  const without = values.without.split(',').filter((name) => name !== '');
  if (without.some((name) => !LEFT_OUT.includes(name))) {
    return refused(`--without may name ${LEFT_OUT.join()}`);
  }
  return {
    kind: 'run',
    options: {
      minutes,
      seed: values.seed ?? drawSeed(),
      perSecond,
      shape,
      nemesis: only ?? 'faults',
      faults: FAULTS.filter(({ name }) => names.includes(name)),
      reportPath: values.report ?? null,
      historyPath: values.history ?? null,
      source: values.source ?? null,
      keys: !without.includes('keys'),
      deletes: !without.includes('deletes'),
      lists: !without.includes('lists'),
      flags: (['world', 'faults', 'only', 'without'] as const).flatMap((name) => {
        const value = values[name];
        return value === undefined || value === DEFAULTS[name] ? [] : [`--${name} ${value}`];
      }),
    },
  };
}

export function describeWorld({ apis, tiers }: WorldShape): string {
  const count = (key: 'workers' | 'engines') => tiers.reduce((sum, tier) => sum + tier[key], 0);
  return [
    some(apis, 'API'),
    some(count('workers'), 'worker'),
    some(count('engines'), 'engine'),
    some(tiers.length, 'tier'),
  ].join(', ');
}

function some(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

/** Above 0; null where it is no such number. */
function numberIn(text: string, max: number): number | null {
  const number = Number(text);
  return text.trim() !== '' && number > 0 && number <= max ? number : null;
}

function refused(message: string): Options {
  return { kind: 'refused', message };
}
