/** Of how many processes a world consists. */

/** All engines speak alike, so that each can carry on what another has begun. */
export const ENGINE_SEED = '7';

export interface WorldShape {
  readonly apis: number;
  readonly tiers: readonly {
    readonly name: string;
    readonly workers: number;
    readonly engines: number;
  }[];
  /** Of all times of the engines: 1 is about ten milliseconds per token. */
  readonly timeScale: number;
}

export const FULL_WORLD: WorldShape = {
  apis: 2,
  tiers: [
    { name: 'fast', workers: 2, engines: 2 },
    { name: 'precise', workers: 2, engines: 1 },
  ],
  timeScale: 1,
};

export const SMALL_WORLD: WorldShape = {
  apis: 1,
  tiers: [{ name: 'fast', workers: 2, engines: 1 }],
  timeScale: 1,
};
