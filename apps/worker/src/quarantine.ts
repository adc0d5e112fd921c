/**
 * A job that has ended workers, all but one that it may, runs alone: its next death is its own fault
 * for sure, and hurts no neighbour.
 *
 * - `open`: entries are taken as they come. Left when one of them turns out to be such a suspect.
 * - `emptying`: nothing is taken; the suspect waits until whatever else runs here has ended. Left when
 *   that is so, or when the suspect gives up waiting, or has waited for long enough.
 * - `closed`: the suspect runs, and nothing beside it. Left when it has ended.
 *
 * There is one suspect at a time; another one goes back to the queue. Places that are kept empty for
 * it are lost to all others, so it waits for a while only, and others are then taken for as long.
 * Each time that was not enough it waits twice as long the next time, until its neighbours' ends come.
 */
type QuarantineState =
  | { readonly kind: 'open'; readonly closesFromMs: number }
  | { readonly kind: 'emptying'; readonly emptied: () => void }
  | { readonly kind: 'closed' };

/** Most answers take less. */
const PATIENCE_MS = 10_000;
/** All neighbours have ended by then: a job runs for ten minutes, where it does not say otherwise. */
const PATIENCE_MS_MAX = 600_000;

export interface Quarantine {
  /** Whether entries are taken. */
  readonly isOpen: boolean;
  /** An entry is taken. Returns what is to be called when it is done with. */
  enter(): () => void;
  /**
   * For an entry that was taken: waits until it is the only one. True: it is, and nothing else will
   * be taken before `reopen`. False: another suspect is first, it is the others' turn, its neighbours
   * took too long, or the signal was aborted.
   */
  close(signal: AbortSignal): Promise<boolean>;
  reopen(): void;
}

/** `onChange` is called whenever `isOpen` has changed. */
export function createQuarantine(
  onChange: () => void,
  { firstPatienceMs = PATIENCE_MS }: { firstPatienceMs?: number } = {},
): Quarantine {
  let state: QuarantineState = { kind: 'open', closesFromMs: 0 };
  let taken = 0;
  let patienceMs = firstPatienceMs;

  function become(next: QuarantineState): void {
    const wasOpen = state.kind === 'open';
    state = next;
    if (wasOpen !== (next.kind === 'open')) onChange();
  }

  return {
    get isOpen() {
      return state.kind === 'open';
    },

    enter() {
      taken += 1;
      return () => {
        taken -= 1;
        if (state.kind === 'emptying' && taken === 1) state.emptied();
      };
    },

    async close(signal) {
      if (state.kind !== 'open' || signal.aborted) return false;
      if (performance.now() < state.closesFromMs) return false;
      const { promise, resolve } = Promise.withResolvers<'emptied' | 'given up' | 'too long'>();
      const onAbort = () => resolve('given up');
      signal.addEventListener('abort', onAbort, { once: true });
      const tooLong = setTimeout(resolve, patienceMs, 'too long');
      become({ kind: 'emptying', emptied: () => resolve('emptied') });
      if (taken === 1) resolve('emptied');
      const end = await promise;
      signal.removeEventListener('abort', onAbort);
      clearTimeout(tooLong);
      if (end === 'emptied') {
        patienceMs = firstPatienceMs;
        become({ kind: 'closed' });
        return true;
      }
      const restMs = end === 'too long' ? patienceMs : 0;
      if (end === 'too long') patienceMs = Math.min(2 * patienceMs, PATIENCE_MS_MAX);
      become({ kind: 'open', closesFromMs: performance.now() + restMs });
      return false;
    },

    reopen() {
      if (state.kind !== 'closed') throw new Error(`Cannot reopen what is ${state.kind}`);
      become({ kind: 'open', closesFromMs: 0 });
    },
  };
}
