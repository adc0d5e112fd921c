/** `qarr tiers`: the tiers and their engines, once or again and again. */
import { setTimeout as sleep } from 'node:timers/promises';
import { CliError } from '../cli-error.ts';
import type { Output, Screen } from '../screen.ts';
import { printableJson } from './printable.ts';
import { readTiers } from './read-tiers.ts';
import type { TiersAnswer } from './read-tiers.ts';
import { tiersTable } from './tiers-table.ts';

const EVERY_MS = 1_000;
const HOME = '\u001B[H';
const ERASE_REST_OF_LINE = '\u001B[K';
const ERASE_BELOW = '\u001B[J';
/** A line that wraps would be two: it is cut off at the edge of the window. */
const BEGIN = '\u001B[?25l\u001B[?7l\u001B[2J';
/** The cursor is seen again, and lines wrap. */
const END = '\u001B[?25h\u001B[?7h';

export interface TiersDeps {
  readonly baseUrl: string;
  readonly apiKey: string | undefined;
  readonly stdout: Output & { readonly rows?: number };
  readonly style: Screen['style'];
  /** Aborted when nobody wants to see more. */
  readonly signal: AbortSignal;
}

/** One table, or the answer as JSON. Throws a CliError where there is no answer. */
export async function showTiers({
  asJson,
  ...deps
}: TiersDeps & { asJson: boolean }): Promise<void> {
  const answer = await readTiers(deps);
  const lines = asJson ? [printableJson(answer.json)] : tiersTable(answer.tiers, deps.style);
  deps.stdout.write(`${lines.join('\n')}\n`);
}

/**
 * The table, rewritten in place each second until the signal. Throws a CliError where there is no
 * first answer; later ones may be missing.
 */
export async function watchTiers(deps: TiersDeps & { everyMs?: number }): Promise<void> {
  const { stdout, signal, everyMs = EVERY_MS } = deps;
  let answer = await readTiers(deps);
  stdout.write(BEGIN);
  try {
    let problem = '';
    while (!signal.aborted) {
      stdout.write(frame(answer, { ...deps, problem }));
      await sleep(everyMs, null, { signal }).catch(() => {});
      try {
        answer = await readTiers(deps);
        problem = '';
      } catch (error) {
        if (signal.aborted) break;
        if (!(error instanceof CliError)) throw error;
        problem = error.message;
      }
    }
  } finally {
    stdout.write(END);
  }
}

/** As much of it as the window has lines: what would scroll could not be rewritten. */
function frame(
  { tiers }: TiersAnswer,
  { stdout, style, problem }: TiersDeps & { problem: string },
): string {
  const note = problem === '' ? [] : [style('red', `not up to date: ${problem}`)];
  const lines = [...note, ...tiersTable(tiers, style)];
  const shown = stdout.rows === undefined ? lines : lines.slice(0, Math.max(1, stdout.rows - 1));
  return HOME + shown.map((line) => `${line}${ERASE_REST_OF_LINE}\n`).join('') + ERASE_BELOW;
}
