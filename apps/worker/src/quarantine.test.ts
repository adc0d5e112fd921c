import { expect, it, vi } from 'vitest';
import { createQuarantine } from './quarantine.ts';

function create(options?: { firstPatienceMs: number }) {
  const changes: boolean[] = [];
  const quarantine = createQuarantine(() => changes.push(quarantine.isOpen), options);
  return { quarantine, changes };
}

const FOR_EVER = new AbortController().signal;

it('waits until nothing else runs, and takes nothing before it is reopened', async () => {
  const { quarantine, changes } = create();
  const leaveNeighbours = [quarantine.enter(), quarantine.enter()];
  quarantine.enter();
  let isAlone: boolean | null = null;
  const closed = quarantine.close(FOR_EVER).then((answer) => (isAlone = answer));
  expect(quarantine.isOpen).toBe(false);
  leaveNeighbours[0]?.();
  await Promise.resolve();
  expect(isAlone).toBeNull();
  leaveNeighbours[1]?.();
  expect(await closed).toBe(true);
  expect(quarantine.isOpen).toBe(false);
  quarantine.reopen();
  expect(quarantine.isOpen).toBe(true);
  expect(changes).toEqual([false, true]);
});

it('waits for nothing where nothing else runs', async () => {
  const { quarantine } = create();
  quarantine.enter();
  expect(await quarantine.close(FOR_EVER)).toBe(true);
});

it('has room for one suspect at a time', async () => {
  const { quarantine } = create();
  const leave = [quarantine.enter(), quarantine.enter()];
  const first = quarantine.close(FOR_EVER);
  expect(await quarantine.close(FOR_EVER)).toBe(false);
  leave[1]?.();
  expect(await first).toBe(true);
  expect(await quarantine.close(FOR_EVER)).toBe(false);
});

it('opens again when the suspect gives up', async () => {
  const { quarantine, changes } = create();
  quarantine.enter();
  const leave = quarantine.enter();
  const giveUp = new AbortController();
  const closed = quarantine.close(giveUp.signal);
  giveUp.abort();
  expect(await closed).toBe(false);
  expect(quarantine.isOpen).toBe(true);
  leave();
  expect(changes).toEqual([false, true]);
  expect(await quarantine.close(giveUp.signal)).toBe(false);
  expect(await quarantine.close(FOR_EVER)).toBe(true);
});

it('keeps places empty for a while only, then takes others for as long, and waits longer next', async () => {
  const { quarantine, changes } = create({ firstPatienceMs: 100 });
  quarantine.enter();
  const leave = quarantine.enter();
  expect(await quarantine.close(FOR_EVER)).toBe(false);
  expect(quarantine.isOpen).toBe(true);
  expect(await quarantine.close(FOR_EVER)).toBe(false);
  // At once: nothing was emptied for it.
  expect(changes).toEqual([false, true]);

  const beganMs = performance.now();
  await vi.waitUntil(
    async () => {
      const wasClosed = changes.length;
      await quarantine.close(FOR_EVER);
      return changes.length > wasClosed;
    },
    { timeout: 20_000, interval: 1 },
  );
  expect(performance.now() - beganMs).toBeGreaterThan(200);
  leave();
  await vi.waitUntil(() => quarantine.close(FOR_EVER), { timeout: 20_000, interval: 1 });
});
