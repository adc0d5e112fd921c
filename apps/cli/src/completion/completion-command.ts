import { Argument } from 'commander';
import type { Command } from 'commander';
import { commandTree } from './command-tree.ts';
import { SHELLS, completionScript } from './completion-script.ts';
import type { Shell } from './completion-script.ts';

const HELP = `
Examples:
  eval "$(qarr completion bash)"    # in ~/.bashrc
  eval "$(qarr completion zsh)"     # in ~/.zshrc, after compinit`;

export function addCompletionCommand(program: Command): void {
  program
    .command('completion')
    .description('Print what a shell needs to complete commands and options.')
    .addArgument(new Argument('<shell>').choices(SHELLS))
    .addHelpText('after', HELP)
    .action((shell: Shell) => {
      process.stdout.write(completionScript(shell, commandTree(program)));
    });
}
