/** The `qarr` command. */
import { readFileSync } from 'node:fs';
import { createClient } from '@qarr/client';
import type { JobClass } from '@qarr/client';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { CliError, EXIT_BAD_USE, messageOf, oneLine } from './cli-error.ts';
import { readApiKey, readApiUrl, readConfig, readToolEnvironment, usesColours } from './config.ts';
import { streamAnswer, submitPrompt } from './jobs/jobs.ts';
import type { JobDeps } from './jobs/jobs.ts';
import { runKeys } from './keys/keys.ts';
import { createScreen } from './screen.ts';
import { listenForStopSignals } from './stop-signals.ts';
import { showTiers, watchTiers } from './tiers/tiers.ts';
import { up } from './up.ts';

/** What a shell reports for a process that Ctrl-C ended. */
const EXIT_KILLED = 130;

process.exitCode = await run(process.argv.slice(2));

/** Returns the exit code; whatever goes wrong is one line on stderr. */
async function run(args: readonly string[]): Promise<number> {
  let exitCode = 0;
  const program = createProgram({
    async onUp(options) {
      exitCode = await runUp(options);
    },
    onTiers: runTiers,
    onSubmit: runSubmit,
    onStream: (id, { url }) => withClient(url, (deps) => streamAnswer(id, deps)),
    async onKeys(keyArgs) {
      exitCode = await runKeys(keyArgs, readToolEnvironment());
    },
  });
  try {
    await program.parseAsync(args, { from: 'user' });
    return exitCode;
  } catch (error) {
    // Commander has said by then what is wrong, or was only asked for its help or version.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_BAD_USE;
    process.stderr.write(`qarr: ${describe(error)}\n`);
    return error instanceof CliError ? error.exitCode : 1;
  }
}

interface TiersFlags {
  readonly url?: string;
  readonly once?: boolean;
  readonly json?: boolean;
}

interface SubmitFlags {
  readonly url?: string;
  readonly tier?: string;
  readonly class?: JobClass;
  readonly maxTokens?: number;
  readonly wait?: boolean;
}

function createProgram({
  onUp,
  onTiers,
  onSubmit,
  onStream,
  onKeys,
}: {
  onUp: (options: { exitAfterDemo?: boolean }) => Promise<void>;
  onTiers: (flags: TiersFlags) => Promise<void>;
  onSubmit: (prompt: string, flags: SubmitFlags) => Promise<void>;
  onStream: (id: string, flags: { url?: string }) => Promise<void>;
  onKeys: (args: readonly string[]) => Promise<void>;
}): Command {
  const program = new Command('qarr')
    .description('A queue-based inference system in front of self-hosted vLLM.')
    .version(readVersion())
    .exitOverride()
    .configureOutput({
      outputError: (text, write) => write(`qarr: ${oneLine(text.replace(/^error: /, ''))}\n`),
    });
  program
    .command('up')
    .description('Start a whole system on this machine, show it working, and serve until Ctrl-C.')
    .option('--exit-after-demo', 'stop everything after the three answers')
    .action(onUp);
  const api = [
    '--url <url>',
    'the API; without it the one on this machine, at PORT or 8080',
  ] as const;
  program
    .command('submit')
    .description('Submit a prompt as a job, and print its id.')
    .argument('<prompt>')
    .option(...api)
    .option('--tier <name>', 'the tier that must take it')
    .addOption(
      new Option('--class <class>', 'who is served first').choices([
        'interactive',
        'standard',
        'batch',
      ]),
    )
    .option('--max-tokens <number>', 'of the answer, at most', wholeNumber)
    .option('--wait', 'print the answer as it comes, instead of the id')
    .action(onSubmit);
  program
    .command('stream')
    .description('Print the answer of a job as it comes, from its beginning.')
    .argument('<id>')
    .option(...api)
    .action(onStream);
  program
    .command('tiers')
    .description('Show what waits and runs in each tier, and its engines, until Ctrl-C.')
    .option(...api)
    .option('--once', 'once, as always where the output is no terminal')
    .option('--json', 'once, as the API tells it')
    .action(onTiers);
  program
    .command('keys')
    .description('Make, list, rotate and revoke API keys: `qarr keys --help`.')
    .argument('[arguments...]')
    // They are the tool's own.
    .helpOption(false)
    .allowUnknownOption()
    .action(onKeys);
  return program;
}

async function runUp({ exitAfterDemo = false }: { exitAfterDemo?: boolean }): Promise<number> {
  const config = readConfig();
  const { stdout, stderr } = process;
  const screen = createScreen({ stdout, stderr, colours: stdout.isTTY && config.colours });
  const signals = listenForStopSignals({ onStop: () => screen.line('stopping…') });
  // Whoever read the output is gone (`npm start | head`): there is nobody left to serve.
  stdout.on('error', () => signals.request());
  stderr.on('error', () => signals.request());
  await up({
    config,
    screen,
    stopSignal: signals.stop,
    killSignal: signals.kill,
    exitsAfterDemo: exitAfterDemo,
  });
  return signals.kill.aborted ? EXIT_KILLED : 0;
}

async function runTiers({ url, once = false, json = false }: TiersFlags): Promise<void> {
  const { stdout, stderr } = process;
  const baseUrl = readApiUrl({ given: url });
  const apiKey = readApiKey();
  const { style } = createScreen({ stdout, stderr, colours: stdout.isTTY && usesColours() });
  await untilStopped(async (signal) => {
    const deps = { baseUrl, apiKey, stdout, style, signal };
    if (once || json || !stdout.isTTY) await showTiers({ ...deps, asJson: json });
    else await watchTiers(deps);
  });
}

async function runSubmit(prompt: string, flags: SubmitFlags): Promise<void> {
  const { tier, class: jobClass, maxTokens, wait: waits = false } = flags;
  const request = { prompt, tier, class: jobClass, max_tokens: maxTokens };
  await withClient(flags.url, (deps) => submitPrompt(request, { ...deps, waits }));
}

async function withClient(
  url: string | undefined,
  work: (deps: JobDeps) => Promise<void>,
): Promise<void> {
  const { stdout, stderr } = process;
  const baseUrl = readApiUrl({ given: url });
  const apiKey = readApiKey();
  const client = createClient({ baseUrl, apiKey });
  const hasKey = apiKey !== undefined;
  await untilStopped((signal) => work({ client, baseUrl, hasKey, stdout, stderr, signal }));
}

/** To be told to stop is no failure of what goes on until then. */
async function untilStopped(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const signals = listenForStopSignals({ onStop: () => {} });
  // Whoever read the output is gone (`qarr tiers | head -1`).
  process.stdout.on('error', () => signals.request());
  try {
    await work(signals.stop);
  } catch (error) {
    if (!signals.stop.aborted) throw error;
  }
}

function wholeNumber(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('It must be a whole number.');
}

function readVersion(): string {
  const manifest = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return /"version": *"([^"]+)"/.exec(manifest)?.[1] ?? 'unknown';
}

/** A mistake of ours keeps its stack trace; whatever the user can mend is one line. */
function describe(error: unknown): string {
  if (error instanceof CliError || !(error instanceof Error)) return messageOf(error);
  return `this should not have happened: ${error.stack ?? error.message}`;
}
