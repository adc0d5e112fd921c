import { createLogger } from '@qarr/process';
import { expect, it, vi } from 'vitest';
import { NO_CAPABILITIES } from '../capabilities.ts';
import { createTransitionLog } from './transition-log.ts';
import type { Identity, UpstreamState } from './upstream-state.ts';

const identity: Identity = { version: null, model: 'm', maxModelLen: null };
const capabilities = NO_CAPABILITIES;
const ready: UpstreamState = { kind: 'ready', identity, capabilities };
const warming: UpstreamState = { kind: 'warming', identity, tries: 0 };
const suspect: UpstreamState = {
  kind: 'suspect',
  identity,
  capabilities,
  canariesFailed: 0,
  cause: 'timeout',
};
const gone = (cause: string): UpstreamState => ({ kind: 'gone', tries: 0, cause });

/** The messages and causes that are logged on this way. */
function logged(...way: readonly UpstreamState[]): string[] {
  const lines: string[] = [];
  const log = createLogger({ name: 'test', level: 'silent' });
  for (const level of ['info', 'warn'] as const) {
    vi.spyOn(log, level).mockImplementation((details: unknown, message?: unknown) => {
      const { cause = '' } = details as { cause?: string };
      lines.push(`${level} ${String(message)} ${cause}`.trim());
    });
  }
  const note = createTransitionLog(log);
  for (const [index, to] of way.entries()) {
    const from = way[index - 1];
    if (from !== undefined) note({ from, to, model: 'm' });
  }
  return lines;
}

it('says each change once, while an engine is asked again and again', () => {
  const other = gone('serves n, not m');
  expect(
    logged(ready, gone('timeout'), warming, other, other, warming, other, warming, ready),
  ).toEqual([
    'warn engine gone timeout',
    'info engine warming',
    'warn engine gone serves n, not m',
    'info engine ready',
  ]);
});

it('says it again after the engine was ready', () => {
  expect(logged(ready, gone('timeout'), warming, ready, gone('timeout'))).toHaveLength(4);
});

it('says a doubt once, whatever the canary adds to it', () => {
  const doubted: UpstreamState = { ...suspect, cause: 'its tokens stand still' };
  const worse: UpstreamState = { ...suspect, canariesFailed: 1 };
  expect(logged(ready, doubted, worse, gone('timeout'))).toEqual([
    'warn engine suspect its tokens stand still',
    'warn engine gone timeout',
  ]);
});

it('says each doubt and its end', () => {
  expect(logged(ready, suspect, ready, suspect, ready)).toEqual([
    'warn engine suspect timeout',
    'info engine ready',
    'warn engine suspect timeout',
    'info engine ready',
  ]);
});
