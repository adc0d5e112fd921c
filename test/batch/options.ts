/** The flags of the batches command. */
import { parseArgs } from 'node:util';
import type { ParsedFlags } from '../harness/command.ts';

const LINES_MAX = 50_000;
const KILLS_MAX = 1_000;
const STREAMS_MAX = 1_000;
const DEFAULT_FOLDER = '.qarr/batches';
const ENGINES = ['instant', 'paced'] as const;

export interface BatchOptions {
  readonly seed: string;
  readonly lines: number;
  readonly kills: number;
  /** Interactive ones, at once. */
  readonly streams: number;
  /** Before the batch, so that there is something to compare their times with. */
  readonly baselineMs: number;
  readonly engines: (typeof ENGINES)[number];
  /** Where the report is written. */
  readonly folder: string;
  /** As they were typed, but for the seed and the folder: to be said again. */
  readonly flags: readonly string[];
}

export type Options = ParsedFlags<BatchOptions>;

export const USAGE = `npm run batches: a batch through the whole system, while its processes are killed and people stream

  --lines N                of 1 to 8 KB, for all tiers; one in a hundred cannot be answered (1000)
  --kill N                 SIGKILLs: of the runner at work, an API, a worker or Redis, at random
                           points; each is started again after up to 2 s (0)
  --streams N              interactive streams that go on all the time (10)
  --baseline-seconds N     of streams alone, before the batch (10)
  --engines instant|paced  paced: simulated cards; instant: no time for a token (instant)
  --seed S                 draws lines, kills and prompts; without it one is drawn
  --report DIR             writes batches-report.json and .md there (${DEFAULT_FOLDER})`;

export function readOptions(args: readonly string[], drawSeed: () => string): Options {
  let values;
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: {
        lines: { type: 'string', default: '1000' },
        kill: { type: 'string', default: '0' },
        streams: { type: 'string', default: '10' },
        'baseline-seconds': { type: 'string', default: '10' },
        engines: { type: 'string', default: 'instant' },
        seed: { type: 'string' },
        report: { type: 'string', default: DEFAULT_FOLDER },
        help: { type: 'boolean', default: false },
      },
    }));
  } catch (error) {
    return refused((error as Error).message.split('\n', 1)[0] ?? 'a flag is wrong');
  }
  if (values.help) return { kind: 'help' };
  const lines = wholeNumberIn(values.lines, { min: 1, max: LINES_MAX });
  if (lines === null) return refused(`--lines must be a whole number from 1 to ${LINES_MAX}`);
  const kills = wholeNumberIn(values.kill, { min: 0, max: KILLS_MAX });
  if (kills === null) return refused(`--kill must be a whole number from 0 to ${KILLS_MAX}`);
  const streams = wholeNumberIn(values.streams, { min: 0, max: STREAMS_MAX });
  if (streams === null) return refused(`--streams must be a whole number up to ${STREAMS_MAX}`);
  const baselineS = wholeNumberIn(values['baseline-seconds'], { min: 0, max: 3_600 });
  if (baselineS === null) return refused('--baseline-seconds must be a whole number up to 3600');
  const engines = ENGINES.find((name) => name === values.engines);
  if (engines === undefined) return refused(`--engines must be ${ENGINES.join(' or ')}`);
  return {
    kind: 'run',
    options: {
      seed: values.seed ?? drawSeed(),
      lines,
      kills,
      streams,
      baselineMs: baselineS * 1_000,
      engines,
      folder: values.report,
      flags: [
        `--lines ${lines}`,
        `--kill ${kills}`,
        `--streams ${streams}`,
        `--baseline-seconds ${baselineS}`,
        `--engines ${engines}`,
      ],
    },
  };
}

function wholeNumberIn(text: string, { min, max }: { min: number; max: number }): number | null {
  const number = /^\d{1,7}$/.test(text) ? Number(text) : Number.NaN;
  return number >= min && number <= max ? number : null;
}

function refused(message: string): Options {
  return { kind: 'refused', message };
}
