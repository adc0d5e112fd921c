/**
 * A job that has ended workers, all but one that it may, runs alone: its next death is its own fault
 * for sure, and hurts no neighbour.
 *
 * - `open`: entries are taken as they come. Left when one of them turns out to be such a suspect.
 * - `emptying`: nothing is taken; the suspect waits until whatever else runs here has ended. Left when
 *   that is so, or when the suspect gives up waiting.
 * - `closed`: the suspect runs, and nothing beside it. Left when it has ended.
 *
 * There is one suspect at a time; another one goes back to the queue. So is everything that waits
 * here waiting only for jobs that run, and those have a time limit.
 */
type QuarantineState =
  | { readonly kind: 'open' }
  | { readonly kind: 'emptying'; readonly emptied: () => void }
  | { readonly kind: 'closed' };

export interface Quarantine {
  /** Whether entries are taken. */
  readonly isOpen: boolean;
  /** An entry is taken. Returns what is to be called when it is done with. */
  enter(): () => void;
  /**
   * For an entry that was taken: waits until it is the only one. True: it is, and nothing else will
   * be taken before `reopen`. False: another suspect is first, or the signal was aborted.
   */
  close(signal: AbortSignal): Promise<boolean>;
  reopen(): void;
}

/** `onChange` is called whenever `isOpen` has changed. */
export function createQuarantine(onChange: () => void): Quarantine {
  let state: QuarantineState = { kind: 'open' };
  let taken = 0;

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
      const { promise, resolve } = Promise.withResolvers<boolean>();
      const onAbort = () => resolve(false);
      signal.addEventListener('abort', onAbort, { once: true });
      become({ kind: 'emptying', emptied: () => resolve(true) });
      if (taken === 1) resolve(true);
      const isEmptied = await promise;
      signal.removeEventListener('abort', onAbort);
      become(isEmptied ? { kind: 'closed' } : { kind: 'open' });
      return isEmptied;
    },

    reopen() {
      if (state.kind !== 'closed') throw new Error(`Cannot reopen what is ${state.kind}`);
      become({ kind: 'open' });
    },
  };
}
