import type { Logger } from '@qarr/process';
import type { UpstreamState } from './upstream-state.ts';

/**
 * Returns a function that logs each change of state once. While an engine does not become ready
 * again, what it goes through again and again is logged the first time only.
 */
export function createTransitionLog(
  log: Logger,
): (change: { from: UpstreamState; to: UpstreamState; model: string }) => void {
  const seen = new Set<string>();
  return ({ from, to, model }) => {
    const cause = 'cause' in to ? to.cause : undefined;
    if (to.kind === 'ready') seen.clear();
    // It is in doubt already: a canary that fails as well is no news.
    if (from.kind === 'suspect' && to.kind === 'suspect') return;
    const change = `${to.kind} ${cause}`;
    if (seen.has(change)) return;
    seen.add(change);
    const isBad = to.kind === 'gone' || to.kind === 'suspect';
    const details = { from: from.kind, model, ...(cause === undefined ? {} : { cause }) };
    log[isBad ? 'warn' : 'info'](details, `engine ${to.kind}`);
  };
}
