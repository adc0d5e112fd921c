import type { JobClass } from '@qarr/client';
import { Option } from 'commander';
import type { Command } from 'commander';
import { jsonOption, readPrompt, urlOption, wholeNumber, withClient } from '../command.ts';
import { streamAnswer, submitPrompt } from './jobs.ts';

interface SubmitFlags {
  readonly url?: string;
  readonly tier?: string;
  readonly class?: JobClass;
  readonly maxTokens?: number;
  readonly wait?: boolean;
  readonly json?: boolean;
}

const SUBMIT_HELP = `
Examples:
  qarr submit --wait "Why is the sky blue?"
  qarr submit --tier precise - < prompt.txt
  qarr submit --wait --json "Hello" | jq -r .result.text`;

const STREAM_HELP = `
Examples:
  qarr stream job_8a…
  qarr stream --json job_8a… | jq -r 'select(.type == "delta").text'`;

export function addJobCommands(program: Command): void {
  program
    .command('submit')
    .description('Submit a prompt as a job, and print its id.')
    .argument('<prompt>', 'or - for what stdin holds')
    .addOption(urlOption())
    .option('--tier <name>', 'the tier that must take it')
    .addOption(classOption())
    .option('--max-tokens <number>', 'of the answer, at most', wholeNumber)
    .option('--wait', 'print the answer as it comes, instead of the id')
    .addOption(jsonOption('the accepted job, or with --wait the job that has ended,'))
    .addHelpText('after', SUBMIT_HELP)
    .action(runSubmit);
  program
    .command('stream')
    .description('Print the answer of a job as it comes, from its beginning.')
    .argument('<id>')
    .addOption(urlOption())
    .addOption(jsonOption('each event'))
    .addHelpText('after', STREAM_HELP)
    .action((id: string, { url, json = false }: { url?: string; json?: boolean }) =>
      withClient(url, (deps) => streamAnswer(id, { ...deps, asJson: json })),
    );
}

export function classOption(): Option {
  const choices = ['interactive', 'standard', 'batch'];
  return new Option('--class <class>', 'who is served first').choices(choices);
}

async function runSubmit(given: string, flags: SubmitFlags): Promise<void> {
  const { tier, class: jobClass, maxTokens, wait: waits = false, json: asJson = false } = flags;
  const prompt = await readPrompt(given);
  const request = { prompt, tier, class: jobClass, max_tokens: maxTokens };
  await withClient(flags.url, (deps) => submitPrompt(request, { ...deps, waits, asJson }));
}
