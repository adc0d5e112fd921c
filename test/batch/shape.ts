/** Of how many processes a world consists, and how fast its engines are. */
import type { WorldShape } from './world.ts';

const PACED = { fast: 'awq-24gb', balanced: 'fp8-l40s', precise: 'bf16-l40s' } as const;

export function worldFor(engines: 'instant' | 'paced'): WorldShape {
  const profile = (tier: keyof typeof PACED) => (engines === 'instant' ? 'instant' : PACED[tier]);
  return {
    apis: 2,
    runners: 2,
    tiers: [
      { name: 'fast', workers: 2, profile: profile('fast') },
      { name: 'balanced', workers: 1, profile: profile('balanced') },
      { name: 'precise', workers: 1, profile: profile('precise') },
    ],
    rules: null,
    slots: 32,
    // As everybody has it.
    commitMs: 10_000,
  };
}

/** As few processes as there can be of each kind, where each can be missed for a while. */
export const SMALL_WORLD: WorldShape = {
  apis: 1,
  runners: 2,
  tiers: [
    { name: 'fast', workers: 1, profile: 'instant' },
    { name: 'precise', workers: 1, profile: 'instant' },
  ],
  rules: [
    { tier: 'precise', when: 'code' },
    { tier: 'fast', when: 'default' },
  ],
  slots: 16,
  // So that there is something durable, and something that is not, when its runner dies.
  commitMs: 200,
};
