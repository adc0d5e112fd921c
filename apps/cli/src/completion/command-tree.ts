/** The commands and their options, as the parser knows them. */
import type { Command, Option } from 'commander';

export interface CommandNode {
  /** Words after `qarr`; none of the program itself. */
  readonly path: readonly string[];
  readonly commands: readonly { readonly name: string; readonly description: string }[];
  readonly options: readonly OptionNode[];
}

export interface OptionNode {
  /** `--output`, `-o`. */
  readonly flags: readonly string[];
  readonly description: string;
  readonly takesValue: boolean;
  readonly choices: readonly string[];
}

/** The program and all below it. */
export function commandTree(command: Command, path: readonly string[] = []): CommandNode[] {
  const help = command.createHelp();
  const below = help.visibleCommands(command).filter((each) => each.name() !== 'help');
  const node: CommandNode = {
    path,
    commands: below.map((each) => ({ name: each.name(), description: each.description() })),
    options: help.visibleOptions(command).map(optionNode),
  };
  return [node, ...below.flatMap((each) => commandTree(each, [...path, each.name()]))];
}

function optionNode({
  long,
  short,
  description,
  argChoices,
  required,
  optional,
}: Option): OptionNode {
  return {
    flags: [long, short].flatMap((flag) => flag ?? []),
    description,
    takesValue: required || optional,
    choices: argChoices ?? [],
  };
}
