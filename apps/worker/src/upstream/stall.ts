/** Whether an engine has stopped although it has work: its tokens stand still (a hang). */

/** Long prompts on a slow card take seconds between two counts, not half a minute. */
const STALLED_AFTER_MS = 30_000;

export interface Progress {
  /** Prompt and generated tokens since the engine's start. */
  readonly tokens: number;
  /** When they last moved, or when the engine last had nothing to do. */
  readonly atMs: number;
}

/** Null while the engine does not tell. */
export function follow(
  before: Progress | null,
  { tokens, running, nowMs }: { tokens: number | null; running: number | null; nowMs: number },
): Progress | null {
  if (tokens === null || running === null) return null;
  if (before !== null && before.tokens === tokens && running > 0) return before;
  return { tokens, atMs: nowMs };
}

export function isStalled(progress: Progress | null, nowMs: number): boolean {
  return progress !== null && nowMs - progress.atMs >= STALLED_AFTER_MS;
}
