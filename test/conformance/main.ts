/** `npm run conformance`: runs the suite without a test runner, and prints one table. */
import { acquireRedis } from '../harness/redis-server.ts';
import { MUTATIONS, readMutatedStreams } from './mutated-streams.ts';
import { USAGE, readOptions } from './options.ts';
import type { Options } from './options.ts';
import { knownPersonas } from './persona.ts';
import { CUTS } from './random-cuts.ts';
import { recordStreams } from './recordings.ts';
import { runEngine } from './run-engine.ts';
import { runSuite } from './run-suite.ts';
import { ROWS } from './rows/rows.ts';
import { formatProblems, formatTable } from './table.ts';
import type { Column, TableRow } from './table.ts';

const EXIT_FAILED = 1;
const EXIT_MISUSED = 2;
/** As a shell reports it. */
const EXIT_STOPPED = { SIGINT: 130, SIGTERM: 143 } as const;

// By the exit, which takes the processes of the suite along.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => process.exit(EXIT_STOPPED[signal]));
}
process.exitCode = await follow(readOptions(process.argv.slice(2), process.env));

async function follow(options: Options): Promise<number> {
  switch (options.kind) {
    case 'help':
      say(USAGE);
      return 0;
    case 'refused':
      process.stderr.write(`conformance: ${options.message}; see --help\n`);
      return EXIT_MISUSED;
    case 'engine':
    case 'personas':
      return runAll(options);
    default:
      return options satisfies never;
  }
}

async function runAll(options: Extract<Options, { kind: 'engine' | 'personas' }>) {
  const redis = await acquireRedis();
  try {
    const problems =
      options.kind === 'engine'
        ? await tellOfEngine(options, redis.url)
        : await tellOfPersonas(redis.url);
    for (const problem of problems) say(`FAILED ${problem}`);
    return problems.length === 0 ? 0 : EXIT_FAILED;
  } catch (error) {
    process.stderr.write(`conformance: ${(error as Error).message}\n`);
    return EXIT_FAILED;
  } finally {
    await redis.stop();
  }
}

async function tellOfEngine(
  engine: Extract<Options, { kind: 'engine' }>,
  redisUrl: string,
): Promise<string[]> {
  const results = await runEngine({ redisUrl, ...engine });
  const rows = results.map(({ row }) => row);
  return tell(rows, [{ name: engine.model, verdicts: results.map(({ verdict }) => verdict) }]);
}

async function tellOfPersonas(redisUrl: string): Promise<string[]> {
  const personas = knownPersonas();
  const run = runSuite({ redisUrl, personas, rows: ROWS, cuts: CUTS });
  const columns: Column[] = [];
  for (const { persona, results } of run.personas) {
    const verdicts = (await results).map(({ verdict }) => verdict);
    columns.push({ name: persona.name, verdicts });
  }
  const problems = tell(ROWS, columns);
  for (const { persona, counts } of run.cuts) {
    const { jobs, broken, completed, continued, failed, problems: wrong } = await counts;
    say(
      `${jobs} jobs of ${persona.name}, their answers broken ${broken} times at random bytes: ${completed} completed, ${continued} of them carried on, ${failed} failed after three tries, ${wrong.length} wrong`,
    );
    problems.push(...wrong);
  }
  try {
    const counts = readMutatedStreams(await recordStreams(personas), MUTATIONS);
    say(
      `${counts.streams} damaged streams: ${counts.whole} read as the undisturbed answer, ${counts.silent} as another one that the bytes say, ${counts.failed} as broken, 0 wrong`,
    );
  } catch (error) {
    problems.push(`a damaged stream: ${(error as Error).message}`);
  }
  return problems;
}

function tell(rows: readonly TableRow[], columns: readonly Column[]): string[] {
  say(formatTable(rows, columns));
  return formatProblems(rows, columns);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
