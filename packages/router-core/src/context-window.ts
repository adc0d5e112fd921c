/** Whether a request fits a tier's context window, and what to drop where it may be shortened. */
import { isInstruction } from './text-features.ts';

/** All in tokens. The window holds the prompt and the answer together. */
export interface WindowUse {
  promptTokens: number;
  maxTokens: number;
  maxModelLen: number;
}

/**
 * How far an estimate is taken to be off, as a part of the window. Beyond that distance from the
 * limit, an exact count is not expected to change the decision, and is not worth a call.
 */
const ESTIMATE_ERROR = 0.25;

export function fits({ promptTokens, maxTokens, maxModelLen }: WindowUse): boolean {
  return promptTokens + maxTokens <= maxModelLen;
}

/** Whether the estimate is so near the limit, on either side, that the tokenizer must be asked. */
export function nearLimit({ promptTokens, maxTokens, maxModelLen }: WindowUse): boolean {
  return Math.abs(promptTokens + maxTokens - maxModelLen) <= maxModelLen * ESTIMATE_ERROR;
}

/**
 * Shortens a conversation until it fits, for `truncation: "auto"`.
 *
 * System and developer messages stay, and so does everything from the last user message on. The
 * oldest other turns go first, a question together with what answered it. `estimateTokens` counts
 * a list of messages, chat template included; it is asked about log2(turns) times.
 *
 * @returns the messages that stay and how many messages were dropped; null when even the least
 * that must stay does not fit.
 */
export function dropOldestTurns<Message extends { role: string }>({
  messages,
  maxTokens,
  maxModelLen,
  estimateTokens,
}: {
  messages: readonly Message[];
  maxTokens: number;
  maxModelLen: number;
  estimateTokens: (messages: readonly Message[]) => number;
}): { messages: Message[]; dropped: number } | null {
  const starts = turnStarts(messages);
  const without = (turns: number): Message[] => {
    const keptFrom = starts[turns] ?? 0;
    return messages.filter((message, index) => index >= keptFrom || isInstruction(message));
  };
  const fitsWithout = (turns: number): boolean =>
    fits({ promptTokens: estimateTokens(without(turns)), maxTokens, maxModelLen });

  let fewest = 0;
  let most = starts.length - 1;
  if (!fitsWithout(most)) return null;
  while (fewest < most) {
    const middle = Math.floor((fewest + most) / 2);
    if (fitsWithout(middle)) most = middle;
    else fewest = middle + 1;
  }

  const kept = without(most);
  return { messages: kept, dropped: messages.length - kept.length };
}

/** Where each turn begins: at each user message, and at what stands before the first of them. */
function turnStarts(messages: readonly { role: string }[]): number[] {
  const starts = messages.flatMap(({ role }, index) => (role === 'user' ? [index] : []));
  return starts[0] === 0 ? starts : [0, ...starts];
}
