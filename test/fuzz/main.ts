/** `npm run fuzz -- --seed N --seconds S`: for longer than the tests do, and from any seed. */
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { startFuzzWorld } from './fuzz.ts';

const SEED_MAX = 2 ** 31;
/** A batch takes some 50 ms: this many do not end before the time does. */
const BATCHES_MAX = 10_000_000;

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(randomInt(SEED_MAX)) },
    seconds: { type: 'string', default: '60' },
  },
});
const seed = Number(values.seed);
const say = (line: string) => void process.stdout.write(`${line}\n`);

say(`seed ${seed}, ${values.seconds} s`);
const world = await startFuzzWorld();
const report = await world.run({
  seed,
  batches: BATCHES_MAX,
  forMs: Number(values.seconds) * 1_000,
});
for (const { name, taken, refused } of report.operations) {
  say(
    `${name.padEnd(40)} ${String(taken).padStart(6)} taken ${String(refused).padStart(6)} refused`,
  );
}
say(report.failure ?? `${report.requests} requests, nothing found`);
process.exitCode = report.failure === null ? 0 : 1;
await world.stop().catch((error: Error) => {
  say(error.message);
  process.exitCode = 1;
});
