/**
 * What one API process pays for very many readers, as a table: `npm run soak`, or with
 * `-- --streams 10000 --sockets 500 --minutes 5`. Takes some minutes, and measures this machine.
 */
import { parseArgs } from 'node:util';
import { startApiWorld } from '../harness/api.ts';
import type { ApiWorld, Environment } from '../harness/api.ts';
import { measureIdleStreams } from './idle-streams.ts';
import { measurePausedSockets } from './paused-sockets.ts';

/** The default of the API. */
const HEARTBEAT_MS = 15_000;
const HEARTBEATS = 4;
const JOBS_THAT_STREAM = 10;

const { values } = parseArgs({
  options: {
    streams: { type: 'string', default: '10000' },
    sockets: { type: 'string', default: '500' },
    minutes: { type: 'string', default: '5' },
  },
});
const streams = Number(values.streams);
const sockets = Number(values.sockets);
const forMs = Number(values.minutes) * 60_000;

const rows: string[][] = [['what', 'before', 'most', 'growth', 'of a core', 'connected']];
for (const jobs of ['one', 'each'] as const) {
  rows.push(
    await inNewWorld({}, async (world) => {
      const { before, watched, alive } = await measureIdleStreams(world, {
        streams,
        jobs,
        heartbeats: HEARTBEATS,
        heartbeatMs: HEARTBEAT_MS,
      });
      const name = jobs === 'one' ? 'of one job' : 'of as many jobs';
      return row(`${streams} idle streams ${name}`, {
        before: before.residentBytes,
        watched,
        connected: alive,
      });
    }),
  );
}
rows.push(
  // Nobody is disconnected for being stuck while it is measured what the stuck ones cost.
  await inNewWorld({ QARR_READER_STUCK_MS: '3600000' }, async (world) => {
    const paused = await measurePausedSockets(world, { sockets, jobs: JOBS_THAT_STREAM, forMs });
    return row(`${sockets} paused sockets, ${paused.events} events`, {
      before: paused.residentBytesBefore,
      watched: paused.watched,
      connected: paused.connected,
    });
  }),
);
const widths = rows[0]?.map((_, column) => Math.max(...rows.map((cells) => cellOf(cells, column))));
for (const cells of rows) {
  process.stdout.write(
    `${cells.map((cell, column) => cell.padEnd(widths?.[column] ?? 0)).join('  ')}\n`,
  );
}

async function inNewWorld<T>(
  environment: Environment,
  measure: (world: ApiWorld) => Promise<T>,
): Promise<T> {
  const world = await startApiWorld(environment);
  try {
    return await measure(world);
  } finally {
    await world.stop();
  }
}

function row(
  what: string,
  {
    before,
    watched,
    connected,
  }: {
    before: number;
    watched: { residentBytesMax: number; cpuShare: number };
    connected: number;
  },
): string[] {
  const { residentBytesMax: most, cpuShare } = watched;
  const share = `${(cpuShare * 100).toFixed(1)} %`;
  return [
    what,
    megabytes(before),
    megabytes(most),
    megabytes(most - before),
    share,
    `${connected}`,
  ];
}

function megabytes(bytes: number): string {
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}

function cellOf(cells: readonly string[], column: number): number {
  return cells[column]?.length ?? 0;
}
