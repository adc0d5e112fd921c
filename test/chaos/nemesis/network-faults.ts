/** Ways between processes: to Redis, and to an engine. */
import type { Random } from '../random.ts';
import type { Way, World } from '../world/world.ts';
import { last, pickOne } from './fault.ts';
import type { Fault, Strike } from './fault.ts';
import type { Toxic } from '../../harness/tcp-proxy.ts';

const CUT_MS_MAX = 12_000;
const DIRECTIONS = ['up', 'down', 'both'] as const;

type Place = 'redis' | 'engine';

export const NETWORK_FAULTS: readonly Fault[] = (['redis', 'engine'] as const).flatMap((place) => [
  {
    name: `cut-${place}`,
    help: `a black hole on the way to ${place}, both directions or one, for up to 12 s`,
    draw: (world, random) =>
      toxic(world, place, random, { kind: 'black_hole', direction: random.pick(DIRECTIONS) }),
  },
  {
    name: `refuse-${place}`,
    help: `connections to ${place} are reset, and refused for up to 12 s`,
    draw: (world, random) => toxic(world, place, random, { kind: 'refuse' }),
  },
  {
    name: `slow-${place}`,
    help: `up to 200 ms of latency on the way to ${place}`,
    draw: (world, random) =>
      toxic(world, place, random, { kind: 'latency', delayMs: random.int(10, 200) }),
  },
  {
    name: `reset-${place}`,
    help: `open connections to ${place} are reset`,
    draw: (world, random) => {
      const way = wayTo(world, place, random);
      if (way === null) return null;
      return { target: nameOf(way), detail: '', run: async () => void way.proxy.reset() };
    },
  },
]);

function toxic(world: World, place: Place, random: Random, kind: Toxic): Strike | null {
  const way = wayTo(world, place, random);
  if (way === null) return null;
  const ms = random.int(500, CUT_MS_MAX);
  return {
    target: nameOf(way),
    detail: `${JSON.stringify(kind)} for ${ms} ms`,
    async run(signal) {
      await way.proxy.apply(kind);
      await last(ms, signal);
      await way.proxy.heal();
    },
  };
}

function wayTo(world: World, place: Place, random: Random): Way | null {
  const ways = world.ways.filter(({ to }) => (to === 'redis') === (place === 'redis'));
  return pickOne(ways, random);
}

function nameOf({ from, to }: Way): string {
  return `${from} to ${to}`;
}
