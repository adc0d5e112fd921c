/** What engines are told when the faults are over, and what workers think of them. */
import type { Member } from './member.ts';

const ENGINE_HEALING = [{ fault: 'resume' }, { fault: 'slow', params: { factor: 1 } }] as const;

/** Ends what the simulator was told to do wrong. */
export async function healEngine(engine: Member): Promise<void> {
  await fetch(`${engine.url}/_sim/faults`, { method: 'DELETE' });
  for (const fault of ENGINE_HEALING) {
    await fetch(`${engine.url}/_sim/faults`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(fault),
    });
  }
}

/** Whether each of the workers has all of its engines ready. */
export async function usesAll(workers: readonly Member[]): Promise<boolean> {
  const pages = await Promise.all(
    workers.map(async ({ url }) => {
      const response = await fetch(`${url}/metrics`).catch(() => null);
      return (await response?.text()) ?? '';
    }),
  );
  return pages.every((page) => {
    const states = page.match(/^qarr_upstream_state\{.*\} 1$/gm) ?? [];
    return states.length > 0 && states.every((line) => line.includes('state="ready"'));
  });
}
