import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NO_CAPABILITIES } from '../capabilities.ts';
import { transition } from './upstream-state.ts';
import type { Identity, UpstreamEvent, UpstreamState } from './upstream-state.ts';

const identity: Identity = { version: '0.28.0', model: 'm', maxModelLen: 8_192 };
const capabilities = { ...NO_CAPABILITIES, tokenIds: true };
const cause = 'timeout';
const starting: UpstreamState = { kind: 'starting' };
const warming: UpstreamState = { kind: 'warming', identity, tries: 2 };
const ready: UpstreamState = { kind: 'ready', identity, capabilities };
const doubted: UpstreamState = {
  kind: 'suspect',
  identity,
  capabilities,
  canariesFailed: 0,
  cause,
};
const failing: UpstreamState = { ...doubted, canariesFailed: 1 };
const gone: UpstreamState = { kind: 'gone', tries: 2, cause };
const lost: UpstreamState = { kind: 'gone', tries: 0, cause };
const again: UpstreamState = { kind: 'gone', tries: 3, cause };

const EVENTS: readonly UpstreamEvent[] = [
  { kind: 'described', identity },
  { kind: 'warmed', capabilities },
  { kind: 'answered' },
  { kind: 'failed', cause },
  { kind: 'doubted', cause },
  { kind: 'lost', cause },
  { kind: 'restarted' },
];

/** What becomes of each state by each event, in the order of `EVENTS`; null: it stays. */
const TABLE: readonly [string, UpstreamState, readonly (UpstreamState | null)[]][] = [
  ['starting', starting, [{ ...warming, tries: 0 }, null, null, lost, null, null, null]],
  ['warming', warming, [null, ready, null, again, null, again, starting]],
  ['ready', ready, [null, null, null, failing, doubted, lost, starting]],
  ['doubted', doubted, [null, null, ready, failing, null, lost, starting]],
  ['failing', failing, [null, null, ready, lost, null, lost, starting]],
  ['gone', gone, [warming, null, null, again, null, null, null]],
];

describe('an engine that is', () => {
  for (const [name, state, outcomes] of TABLE) {
    it.each(EVENTS.map((event, index) => [event.kind, event, outcomes[index]] as const))(
      `${name} and is %s`,
      (_kind, event, outcome) => {
        const next = transition(state, event);
        if (outcome === null) expect(next).toBe(state);
        else expect(next).toEqual(outcome);
      },
    );
  }
});

it('is ready only after it was described and warmed, and since then neither lost nor restarted', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...EVENTS), { maxLength: 40 }), (events) => {
      let state: UpstreamState = starting;
      let isWarm = false;
      let canariesFailed = 0;
      for (const event of events) {
        const before = state;
        state = transition(state, event);
        if (before.kind === 'warming' && event.kind === 'warmed') isWarm = true;
        if (event.kind === 'lost' || event.kind === 'restarted') isWarm = false;
        canariesFailed = event.kind === 'failed' ? canariesFailed + 1 : 0;
        if (state.kind === 'ready') expect(isWarm).toBe(true);
        if (state.kind === 'ready' && before.kind !== 'ready') {
          expect(['warmed', 'answered']).toContain(event.kind);
        }
        // One canary that fails is not the end of an engine that was ready.
        if (state.kind === 'gone' && before.kind === 'ready') expect(event.kind).toBe('lost');
        if (state.kind === 'gone') isWarm = false;
        if (canariesFailed >= 3) expect(state.kind).toBe('gone');
      }
    }),
  );
});
