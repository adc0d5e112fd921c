/** All rows, in the order in which they are shown. */
import { FAULTS } from '../../../apps/vllm-sim/src/faults/fault-table.ts';
import type { Row } from '../row.ts';
import { ANSWERS } from './answers.ts';
import { BEFORE_THE_ANSWER } from './before-the-answer.ts';
import { BROKEN_ANSWERS } from './broken-answers.ts';
import { CANCEL } from './cancel.ts';
import { ENGINE_LIFE } from './engine-life.ts';
import { INTERRUPTIONS } from './interruptions.ts';
import { RAW_PROMPTS } from './raw-prompts.ts';
import { STRANGE_CLOTHES } from './strange-clothes.ts';

export const ROWS: readonly Row[] = [
  ...ANSWERS,
  ...RAW_PROMPTS,
  ...BEFORE_THE_ANSWER,
  ...BROKEN_ANSWERS,
  ...STRANGE_CLOTHES,
  ...INTERRUPTIONS,
  ...CANCEL,
  ...ENGINE_LIFE,
];

/** Faults of the simulator of which no row says what they come to. */
export function faultsWithoutRow(): string[] {
  const named = new Set(
    ROWS.flatMap((row) =>
      row.kind === 'life' ? row.faults : (row.faults ?? []).map(({ name }) => name),
    ),
  );
  return Object.keys(FAULTS).filter((name) => !named.has(name as keyof typeof FAULTS));
}
