import type { CircuitSharing } from './circuit.ts';

/** Of a worker that shares its engines with no other. */
export const ALONE: CircuitSharing = {
  async say() {},
  hold: async () => 'held',
  async leave() {},
};
