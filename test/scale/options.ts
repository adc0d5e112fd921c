/** The flags of the scale command. */
import { parseArgs } from 'node:util';
import type { ParsedFlags } from '../harness/command.ts';
import { REDIS_KINDS } from './redis.ts';
import type { RedisKind } from './redis.ts';
import { ENDINGS } from './world.ts';
import type { Ending } from './world.ts';

const RANGES = {
  workers: { min: 2, max: 16 },
  seconds: { min: 1, max: 3_600 },
  slots: { min: 1, max: 64 },
  apis: { min: 1, max: 4 },
} as const;

export interface ScaleOptions {
  readonly seed: string;
  readonly redis: RedisKind;
  readonly ending: Ending;
  /** In the middle; one before and after it. */
  readonly workers: number;
  /** Of each phase. */
  readonly seconds: number;
  readonly slots: number;
  readonly apis: number;
  /** Where the report is written; null: nowhere. */
  readonly reportPath: string | null;
  /** As they were typed, but for the seed and the report: to be said again. */
  readonly flags: readonly string[];
}

export type Options = ParsedFlags<ScaleOptions>;

export const USAGE = `npm run scale: a tier grows from one worker to several and shrinks again, while people stream

  --redis KIND      ${REDIS_KINDS.join(', ')} (single); with sentinel the primary is killed in the middle
  --workers N       in the middle; one before and after it (3)
  --seconds N       of each phase (30)
  --slots N         jobs at once in a worker (4)
  --apis N          API replicas (2)
  --ending HOW      of a worker and its engine: orderly, the worker first; together; killed (orderly)
  --seed S          draws the prompts; without it one is drawn
  --report FILE     writes the report there, too`;

export function readOptions(args: readonly string[], drawSeed: () => string): Options {
  let values;
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: {
        redis: { type: 'string', default: 'single' },
        workers: { type: 'string', default: '3' },
        seconds: { type: 'string', default: '30' },
        slots: { type: 'string', default: '4' },
        apis: { type: 'string', default: '2' },
        ending: { type: 'string', default: 'orderly' },
        seed: { type: 'string' },
        report: { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    }));
  } catch (error) {
    return refused((error as Error).message.split('\n', 1)[0] ?? 'a flag is wrong');
  }
  if (values.help) return { kind: 'help' };
  const redis = REDIS_KINDS.find((kind) => kind === values.redis);
  if (redis === undefined) return refused(`--redis must be one of ${REDIS_KINDS.join(', ')}`);
  const ending = ENDINGS.find((how) => how === values.ending);
  if (ending === undefined) return refused(`--ending must be one of ${ENDINGS.join(', ')}`);
  const numbers = { workers: 0, seconds: 0, slots: 0, apis: 0 };
  for (const name of ['workers', 'seconds', 'slots', 'apis'] as const) {
    const { min, max } = RANGES[name];
    const number = /^\d{1,5}$/.test(values[name]) ? Number(values[name]) : Number.NaN;
    if (!(number >= min && number <= max)) {
      return refused(`--${name} must be a whole number from ${min} to ${max}`);
    }
    numbers[name] = number;
  }
  return {
    kind: 'run',
    options: {
      seed: values.seed ?? drawSeed(),
      redis,
      ending,
      ...numbers,
      reportPath: values.report ?? null,
      flags: [
        `--redis ${redis}`,
        ...Object.entries(numbers).map(([name, number]) => `--${name} ${number}`),
        `--ending ${ending}`,
      ],
    },
  };
}

function refused(message: string): Options {
  return { kind: 'refused', message };
}
