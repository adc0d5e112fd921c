import type { Command } from 'commander';
import type { EndWith } from '../command.ts';
import { readToolEnvironment } from '../config.ts';
import { runKeys } from './keys.ts';

export function addKeysCommand(program: Command, endWith: EndWith): void {
  program
    .command('keys')
    .description('Make, list, rotate and revoke API keys: `qarr keys --help`.')
    .argument('[arguments...]')
    // They are the tool's own.
    .helpOption(false)
    .allowUnknownOption()
    .action(async (args: readonly string[]) => {
      endWith(await runKeys(args, readToolEnvironment()));
    });
}
