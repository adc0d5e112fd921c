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
    slots: 32,
  };
}
