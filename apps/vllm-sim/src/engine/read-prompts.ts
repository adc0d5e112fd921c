import { setImmediate as nextTurn } from 'node:timers/promises';
import { createGeneration } from './generation.ts';
import type { Sequence } from './sequence.ts';
import type { StepPlan } from './step-plan.ts';

/** What is read in one turn of the event loop: some milliseconds. */
const PROMPT_TOKENS_PER_TURN = 32_768;

/**
 * Reads the prompts whose first token a step yields. Each choice of a request reads the prompt for
 * itself, since its text depends on its index; thousands of choices of a long prompt would block
 * the process for seconds if they were read when they arrive.
 */
export async function readPrompts(plan: StepPlan<Sequence>): Promise<void> {
  // One token each: nearly always decode. The end of a prompt may be one too, and is then read late.
  if (plan.tokensInStep === plan.work.length) return;
  let tokensRead = 0;
  for (const { sequence, tokens } of plan.work) {
    const isRead = sequence.generation !== undefined;
    if (isRead || sequence.computedTokens + tokens < sequence.promptTokens) continue;
    sequence.generation = createGeneration(sequence);
    tokensRead += sequence.promptTokens;
    if (tokensRead < PROMPT_TOKENS_PER_TURN) continue;
    tokensRead = 0;
    await nextTurn();
  }
}
