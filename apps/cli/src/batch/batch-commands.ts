import type { Command } from 'commander';
import { jsonOption, urlOption, wholeNumber, withClient } from '../command.ts';
import { fileAsTyped } from '../config.ts';
import { OVER_JSON, cancelOption, errorsOption, outputOption } from './batch-options.ts';
import { addInputCommands } from './input-commands.ts';
import { cancelBatch, listBatches, showBatch, writeResults } from './look.ts';
import { createReporter } from './reporter.ts';
import { resumeBatch } from './run.ts';

interface Flags {
  readonly url?: string;
  readonly json?: boolean;
}

const RESUME_HELP = `
What was written before is kept: only what follows is fetched, also when the batch is over.

Examples:
  qarr batch resume batch_5c… -o output.jsonl
  qarr batch resume batch_5c… -o output.jsonl --errors errors.jsonl`;

const RESULTS_HELP = `
Lines stand in the order in which they were done, also before the batch is over. How to go on from
there is said on stderr.

Examples:
  qarr batch results batch_5c… | jq -r '[.custom_id, .qarr_tier] | @tsv'
  qarr batch results batch_5c… --after 1200 -o more.jsonl`;

export function addBatchCommands(program: Command): void {
  const batch = program
    .command('batch')
    .description('Run a file of requests, for whoever can wait.')
    .addHelpText(
      'after',
      '\nExamples:\n  qarr batch run input.jsonl -o output.jsonl\n  qarr batch run --help',
    );
  addInputCommands(batch);
  batch
    .command('resume')
    .description('Go on with a batch: show how far it is, and write what it has left.')
    .argument('<id>')
    .addOption(outputOption().makeOptionMandatory())
    .addOption(errorsOption())
    .addOption(cancelOption())
    .addOption(urlOption())
    .addOption(jsonOption(OVER_JSON))
    .addHelpText('after', RESUME_HELP)
    .action(runResume);
  batch
    .command('status')
    .description('Say how far a batch is.')
    .argument('<id>')
    .addOption(urlOption())
    .addOption(jsonOption('the batch,'))
    .addHelpText(
      'after',
      '\nExamples:\n  qarr batch status batch_5c…\n  qarr batch status --json batch_5c… | jq .request_counts',
    )
    .action((id: string, { url, json = false }: Flags) =>
      withClient(url, (deps) => showBatch(id, { ...deps, asJson: json })),
    );
  batch
    .command('cancel')
    .description('End a batch; answers that are there already are kept.')
    .argument('<id>')
    .addOption(urlOption())
    .addOption(jsonOption('the batch,'))
    .addHelpText('after', '\nExamples:\n  qarr batch cancel batch_5c…')
    .action((id: string, { url, json = false }: Flags) =>
      withClient(url, (deps) => cancelBatch(id, { ...deps, asJson: json })),
    );
  batch
    .command('list')
    .description('List batches, the newest first.')
    .option('--limit <number>', 'at most so many', wholeNumber)
    .option('--after <id>', 'those that follow this one')
    .addOption(urlOption())
    .addOption(jsonOption('the page,'))
    .addHelpText('after', '\nExamples:\n  qarr batch list --limit 5')
    .action(({ url, json = false, limit, after }: Flags & { limit?: number; after?: string }) =>
      withClient(url, (deps) => listBatches({ limit, after }, { ...deps, asJson: json })),
    );
  batch
    .command('results')
    .description('Print what has become of each line so far, as lines of JSON.')
    .argument('<id>')
    .option('--after <cursor>', 'those that follow')
    .option('-o, --output <file>', 'into this file instead')
    .addOption(urlOption())
    .addOption(jsonOption('the lines, which they are anyway,'))
    .addHelpText('after', RESULTS_HELP)
    .action((id: string, flags: Flags & { after?: string; output?: string }) => {
      const { url, after, output } = flags;
      const file = output === undefined ? undefined : fileAsTyped(output);
      return withClient(url, (deps) => writeResults(id, { after, output: file }, deps));
    });
}

async function runResume(
  id: string,
  flags: Flags & { output: string; errors?: string; cancelOnInterrupt?: boolean },
): Promise<void> {
  const { url, output, errors, cancelOnInterrupt = false, json = false } = flags;
  await withClient(url, async (deps) => {
    const options = {
      output: fileAsTyped(output),
      errors: errors === undefined ? undefined : fileAsTyped(errors),
      cancelsOnInterrupt: cancelOnInterrupt,
      asJson: json,
    };
    const reporter = createReporter({ output: process.stderr, now: () => performance.now() });
    await resumeBatch(id, options, { ...deps, reporter });
  });
}
