/** `qarr batch run` and `qarr batch validate`: the commands that read an input. */
import { readFile } from 'node:fs/promises';
import { QarrClientError } from '@qarr/client';
import type { BatchEndpoint } from '@qarr/client';
import { batchEndpointSchema } from '@qarr/router-core';
import { Option } from 'commander';
import type { Command } from 'commander';
import { CliError, badValue, messageOf } from '../cli-error.ts';
import {
  decimalNumber,
  jsonOption,
  untilStopped,
  urlOption,
  wholeNumber,
  withClient,
} from '../command.ts';
import type { CommandDeps } from '../command.ts';
import { fileAsTyped, readRoutingPolicy } from '../config.ts';
import { printable } from '../tiers/printable.ts';
import { OVER_JSON, cancelOption, errorsOption, outputOption } from './batch-options.ts';
import { LINES_MAX } from './check-file.ts';
import { FORMATS, formatOf, prepareInput } from './input-file.ts';
import type { Format, InputFile } from './input-file.ts';
import { createReporter } from './reporter.ts';
import { runBatch } from './run.ts';
import { createUploadMeter } from './upload-meter.ts';
import { validateFile } from './validate.ts';

interface InputFlags {
  readonly endpoint?: BatchEndpoint;
  readonly format?: Format;
  readonly template?: string;
  readonly templateFile?: string;
  readonly system?: string;
  readonly model?: string;
  readonly tier?: string;
  readonly maxTokens?: number;
  readonly temperature?: number;
  readonly idColumn?: string;
  readonly json?: boolean;
}

interface RunFlags extends InputFlags {
  readonly output: string;
  readonly errors?: string;
  readonly window: string;
  readonly check: boolean;
  readonly cancelOnInterrupt?: boolean;
  readonly url?: string;
}

const RUN_HELP = `
The input is a file of lines as OpenAI has them (.jsonl), plain text with one prompt per line (.txt)
or CSV whose first row names the columns (.csv); - is stdin. Ctrl-C leaves the batch running, and
says how to go on.

Examples:
  qarr batch run input.jsonl -o output.jsonl --errors errors.jsonl
  qarr batch run prompts.txt -o output.jsonl --tier fast --max-tokens 200
  qarr batch run reviews.csv -o output.jsonl --id-column id --template 'Summarise: {text}'`;

const VALIDATE_HELP = `
It asks nobody: tiers are those of qarr.config.yaml in this folder, or the default ones.

Examples:
  qarr batch validate input.jsonl
  qarr batch validate --json input.jsonl | jq .errors
  qarr batch validate reviews.csv --template 'Summarise: {text}'`;

export function addInputCommands(batch: Command): void {
  const run = batch
    .command('run')
    .description('Upload requests, run them as a batch, and write the answers.')
    .argument('<input>', 'a file, or - for stdin')
    .addOption(outputOption().makeOptionMandatory())
    .addOption(errorsOption())
    .option('--window <duration>', 'in which it must be done, such as 90m, 24h, 7d', '24h')
    .option('--no-check', 'upload it without looking at its lines')
    .addOption(cancelOption());
  addInputOptions(run)
    .addOption(urlOption())
    .addOption(jsonOption(OVER_JSON))
    .addHelpText('after', RUN_HELP)
    .action(runRun);
  addInputOptions(
    batch
      .command('validate')
      .description('Say what is wrong with an input, and in which line; nothing is sent.')
      .argument('<input>', 'a file, or - for stdin'),
  )
    .addOption(jsonOption('what was found'))
    .addHelpText('after', VALIDATE_HELP)
    .action(runValidate);
}

function addInputOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--endpoint <path>', 'of the lines; without it that of the first one').choices(
        batchEndpointSchema.options,
      ),
    )
    .addOption(new Option('--format <format>', 'where the name does not say').choices(FORMATS))
    .option('--template <text>', 'the prompt of a row, with {column} for its columns')
    .option('--template-file <file>', 'the same, from a file')
    .option('--system <text>', 'what stands before each prompt')
    .option('--model <name>', 'of each row', 'auto')
    .option('--tier <name>', 'the tier that must take each row')
    .option('--max-tokens <number>', 'of each answer, at most', wholeNumber)
    .option('--temperature <number>', 'of each answer', decimalNumber)
    .option('--id-column <name>', 'the column of the ids; without it row-1, row-2…');
}

async function runRun(given: string, flags: RunFlags): Promise<void> {
  const { url, endpoint, window, check, cancelOnInterrupt = false, json = false } = flags;
  const meter = createUploadMeter();
  const options = {
    input: given === '-' ? null : fileAsTyped(given),
    output: fileAsTyped(flags.output),
    errors: flags.errors === undefined ? undefined : fileAsTyped(flags.errors),
    endpoint,
    window,
    isChecked: check,
    cancelsOnInterrupt: cancelOnInterrupt,
    asJson: json,
  };
  const work = async (deps: CommandDeps) => {
    const reporter = createReporter({ output: process.stderr, now: () => performance.now() });
    const prepare = async () => {
      const { tier, model = 'auto' } = flags;
      const tiers = tier === undefined && model === 'auto' ? [] : await tiersOf(deps);
      requireTier(tier, tiers);
      if (model !== 'auto' && tiers.length > 0 && !tiers.some(({ name }) => name === model)) {
        reporter.line(`${printable(model)} is no tier: refused, unless an engine serves it`);
      }
      return inputOf(given, flags, deps.signal);
    };
    await runBatch(prepare, options, { ...deps, reporter, meter });
  };
  await withClient(url, work, { fetch: meter.fetch });
}

async function runValidate(given: string, flags: InputFlags): Promise<void> {
  const policy = readRoutingPolicy();
  requireTier(flags.tier, policy.tiers);
  await untilStopped(async ({ stop: signal }) => {
    const input = await inputOf(given, flags, signal);
    const { endpoint, json: asJson = false } = flags;
    const { stdout } = process;
    try {
      await validateFile({ input, endpoint, policy, asJson, stdout, signal });
    } finally {
      await input.remove();
    }
  });
}

/** Throws a CliError where it is known that there is no such tier. */
function requireTier(given: string | undefined, tiers: readonly { name: string }[]): void {
  if (given === undefined || given === 'auto' || tiers.length === 0) return;
  if (tiers.some(({ name }) => name === given)) return;
  const names = tiers.map(({ name }) => printable(name)).join(', ');
  throw badValue(`--tier names no tier; the tiers are ${names}`);
}

/** None where it does not say: it has the last word in any case. */
async function tiersOf({ client, signal }: CommandDeps): Promise<readonly { name: string }[]> {
  try {
    const { tiers } = await client.tiers({ signal });
    // Another API may answer there, too: what it is shows when the input is uploaded.
    return Array.isArray(tiers) ? tiers : [];
  } catch (error) {
    if (error instanceof QarrClientError && error.code !== 'aborted') return [];
    throw error;
  }
}

async function inputOf(given: string, flags: InputFlags, signal: AbortSignal): Promise<InputFile> {
  const format = formatOf(given, flags.format);
  const { model = 'auto', tier, endpoint = '/v1/chat/completions', system, maxTokens } = flags;
  if (tier !== undefined && model !== 'auto')
    throw badValue('--tier and --model exclude each other');
  const template = await templateOf(flags);
  const isMade = [template, system, tier, maxTokens, flags.temperature, flags.idColumn];
  if (format === 'jsonl' && (model !== 'auto' || isMade.some((value) => value !== undefined))) {
    throw badValue(
      'lines of JSON say themselves what is asked: options such as --template are for text and CSV',
    );
  }
  const { temperature, idColumn } = flags;
  return prepareInput({
    given: given === '-' ? given : fileAsTyped(given),
    format,
    stdin: process.stdin,
    rows: {
      endpoint,
      template,
      system,
      model: tier ?? model,
      maxTokens,
      temperature,
      idColumn,
      rowsMax: LINES_MAX,
    },
    signal,
  });
}

async function templateOf({ template, templateFile }: InputFlags): Promise<string | undefined> {
  if (templateFile === undefined) return template;
  if (template !== undefined) throw badValue('--template and --template-file exclude each other');
  try {
    return await readFile(fileAsTyped(templateFile), 'utf8');
  } catch (error) {
    throw new CliError(`the template cannot be read: ${messageOf(error)}`, { cause: error });
  }
}
