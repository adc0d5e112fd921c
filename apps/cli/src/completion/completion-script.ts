/**
 * What a shell reads to complete `qarr`. It holds all that there is to know, so that no process is
 * started for a Tab. Where a value or an argument is wanted, names of files are offered.
 */
import type { CommandNode, OptionNode } from './command-tree.ts';

export const SHELLS = ['bash', 'zsh'] as const;
export type Shell = (typeof SHELLS)[number];

export function completionScript(shell: Shell, tree: readonly CommandNode[]): string {
  return shell === 'bash' ? bashScript(tree) : zshScript(tree);
}

function bashScript(tree: readonly CommandNode[]): string {
  return `_qarr() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} at='' i options='' commands=''
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$at \${COMP_WORDS[i]}" in
      ${commandPattern(tree)}) at="$at \${COMP_WORDS[i]}" ;;
    esac
  done
  COMPREPLY=()
  case "$at $prev" in
${valueCases(tree, (choices) => `COMPREPLY=($(compgen -W ${quoted(choices.join(' '))} -- "$cur")); return`)}
${freeValueCase(tree, 'return')}
  esac
  case "$at" in
${tree.map(bashCase).join('\n')}
  esac
  if [[ $cur == -* ]]; then commands=$options; fi
  COMPREPLY=($(compgen -W "$commands" -- "$cur"))
}
complete -o default -F _qarr qarr
`;
}

function bashCase({ path, commands, options }: CommandNode): string {
  const names = commands.map(({ name }) => name).join(' ');
  const flags = options.flatMap((option) => option.flags).join(' ');
  return `    ${quoted(placeOf(path))}) commands=${quoted(names)} options=${quoted(flags)} ;;`;
}

function zshScript(tree: readonly CommandNode[]): string {
  return `#compdef qarr
_qarr() {
  local cur=\${words[CURRENT]} prev=\${words[CURRENT-1]} at='' i
  local -a options commands
  for ((i = 2; i < CURRENT; i++)); do
    case "$at \${words[i]}" in
      ${commandPattern(tree)}) at="$at \${words[i]}" ;;
    esac
  done
  case "$at $prev" in
${valueCases(tree, (choices) => `compadd -- ${choices.map(quoted).join(' ')}; return`)}
${freeValueCase(tree, '_files; return')}
  esac
  case "$at" in
${tree.map(zshCase).join('\n')}
  esac
  if [[ $cur == -* ]]; then
    _describe option options
  elif (( $#commands )); then
    _describe command commands
  else
    _files
  fi
}
if [[ $funcstack[1] == _qarr ]]; then _qarr "$@"; else compdef _qarr qarr; fi
`;
}

function zshCase({ path, commands, options }: CommandNode): string {
  const entry = (name: string, description: string) =>
    quoted(`${name.replaceAll(':', String.raw`\:`)}:${description}`);
  const names = commands.map(({ name, description }) => entry(name, description));
  const flags = options.flatMap((option) =>
    option.flags.map((flag) => entry(flag, option.description)),
  );
  return `    ${quoted(placeOf(path))}) commands=(${names.join(' ')}) options=(${flags.join(' ')}) ;;`;
}

/** Of all that is a command where it stands. */
function commandPattern(tree: readonly CommandNode[]): string {
  return tree
    .filter(({ path }) => path.length > 0)
    .map(({ path }) => quoted(placeOf(path)))
    .join('|');
}

function valueCases(
  tree: readonly CommandNode[],
  actionOf: (choices: readonly string[]) => string,
): string {
  return tree
    .flatMap((node) =>
      node.options
        .filter(({ choices }) => choices.length > 0)
        .map((option) => `    ${flagPattern(node, option)}) ${actionOf(option.choices)} ;;`),
    )
    .join('\n');
}

/** Of options whose value may be anything. */
function freeValueCase(tree: readonly CommandNode[], action: string): string {
  const patterns = tree.flatMap((node) =>
    node.options
      .filter(({ takesValue, choices }) => takesValue && choices.length === 0)
      .map((option) => flagPattern(node, option)),
  );
  return `    ${patterns.join('|')}) ${action} ;;`;
}

function flagPattern({ path }: CommandNode, { flags }: OptionNode): string {
  return flags.map((flag) => quoted(`${placeOf(path)} ${flag}`)).join('|');
}

/** As the scripts note it while they go through the words. */
function placeOf(path: readonly string[]): string {
  return path.map((word) => ` ${word}`).join('');
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
