/** All commands with their options; each group of them stands beside what it does. */
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { addBatchCommands } from './batch/batch-commands.ts';
import { oneLine } from './cli-error.ts';
import type { EndWith } from './command.ts';
import { addCompletionCommand } from './completion/completion-command.ts';
import { addJobCommands } from './jobs/job-commands.ts';
import { addKeysCommand } from './keys/keys-command.ts';
import { addRouteCommand } from './route/route-command.ts';
import { addTiersCommand } from './tiers/tiers-command.ts';
import { addUpCommand } from './up-command.ts';

export function createProgram({ endWith }: { endWith: EndWith }): Command {
  const program = new Command('qarr')
    .description('A queue-based inference system in front of self-hosted vLLM.')
    .version(readVersion())
    .exitOverride()
    .configureOutput({
      outputError: (text, write) => write(`qarr: ${oneLine(text.replace(/^error: /, ''))}\n`),
    })
    .addHelpText('after', HELP);
  addUpCommand(program, endWith);
  addJobCommands(program);
  addRouteCommand(program);
  addBatchCommands(program);
  addTiersCommand(program);
  addKeysCommand(program, endWith);
  addCompletionCommand(program);
  return program;
}

const HELP = `
Exit codes: 0 done, 1 failed, 2 bad use, 3 a batch is over and not each line has an answer,
130 interrupted. The API is the one on this machine, at PORT or 8080, or that of --url; the key is
that of QARR_API_KEY.`;

function readVersion(): string {
  const manifest = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return /"version": *"([^"]+)"/.exec(manifest)?.[1] ?? 'unknown';
}
