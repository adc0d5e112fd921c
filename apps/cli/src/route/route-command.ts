import type { JobClass } from '@qarr/client';
import type { Command } from 'commander';
import { jsonOption, readPrompt, urlOption, wholeNumber, withClient } from '../command.ts';
import { classOption } from '../jobs/job-commands.ts';
import { showRoute } from './route.ts';

interface RouteFlags {
  readonly url?: string;
  readonly tier?: string;
  readonly class?: JobClass;
  readonly maxTokens?: number;
  readonly json?: boolean;
}

const HELP = `
Examples:
  qarr route "Why is the sky blue?"
  qarr route --max-tokens 4000 - < prompt.txt
  qarr route --json "Hello" | jq -r .tier`;

export function addRouteCommand(program: Command): void {
  program
    .command('route')
    .description('Say where a prompt would go, and why; nothing is run.')
    .argument('<prompt>', 'or - for what stdin holds')
    .addOption(urlOption())
    .option('--tier <name>', 'the tier that must take it')
    .addOption(classOption())
    .option('--max-tokens <number>', 'of the answer, at most', wholeNumber)
    .addOption(jsonOption('all that the API says,'))
    .addHelpText('after', HELP)
    .action(async (given: string, flags: RouteFlags) => {
      const { tier, class: jobClass, maxTokens, json: asJson = false } = flags;
      const prompt = await readPrompt(given);
      const request = { prompt, tier, class: jobClass, max_tokens: maxTokens };
      await withClient(flags.url, (deps) => showRoute(request, { ...deps, asJson }));
    });
}
