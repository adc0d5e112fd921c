/** What the commands are called, in the parser, in the documentation and in a shell. */
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { commandTree } from './completion/command-tree.ts';
import { completionScript } from './completion/completion-script.ts';
import { createProgram } from './program.ts';

const DOCS = path.join(import.meta.dirname, '../../../docs/cli.md');
const HELP_FLAGS = new Set(['--help', '-h', '--version', '-V']);

const program = createProgram({ endWith() {} });
const tree = commandTree(program);
const leaves = tree.filter(({ commands }) => commands.length === 0);

test('the documentation has each command and each of its options, and no others', () => {
  const sections = readFileSync(DOCS, 'utf8')
    .split(/^### `qarr (?=.*`$)/m)
    .slice(1);
  const documented = Object.fromEntries(
    sections.map((section) => {
      const [name = ''] = section.split('`', 1);
      const text = section.split(/^## /m, 1)[0] ?? '';
      const flags = [...text.matchAll(/`(--?[a-z][a-z-]*)`/g)].map(([, flag = '']) => flag);
      return [name, flags.filter((flag, index) => flags.indexOf(flag) === index).toSorted()];
    }),
  );
  const known = leaves.map(({ path: words, options }) => [
    words.join(' '),
    options
      .flatMap(({ flags }) => flags)
      .filter((flag) => !HELP_FLAGS.has(flag))
      .toSorted(),
  ]);
  expect(documented).toEqual(Object.fromEntries(known));
});

test.each(leaves.filter(({ path: [name] }) => name !== 'keys').map(({ path: words }) => [words]))(
  'the help of %j has examples',
  (words) => {
    const command = words.reduce(
      (found, word) => found.commands.find((each) => each.name() === word) ?? found,
      program,
    );
    let help = '';
    command.configureOutput({ writeOut: (text) => (help += text) });
    command.outputHelp();
    expect(help).toContain(`Examples:\n  `);
    expect(help).toContain(`qarr ${words.join(' ')}`);
  },
);

const LINES: [typed: string, offered: string[]][] = [
  ['qarr ba', ['batch']],
  ['qarr batch r', ['run', 'resume', 'results']],
  ['qarr batch list --j', ['--json']],
  ['qarr batch run in.csv --format ', ['jsonl', 'text', 'csv']],
  ['qarr completion --he', ['--help']],
  ['qarr batch run --url http://x --temp', ['--template', '--template-file', '--temperature']],
];

test('bash offers the commands, options and values that begin as what is typed', () => {
  const asks = LINES.map(([typed]) => {
    const words = typed.split(' ').map((word) => `'${word}'`);
    return `COMP_WORDS=(${words.join(' ')}); COMP_CWORD=${words.length - 1}; _qarr; echo "\${COMPREPLY[@]}"`;
  });
  const script = `set -u\n${completionScript('bash', tree)}\n${asks.join('\n')}\ncomplete -p qarr`;
  const said = execFileSync('bash', ['--norc', '-c', script], { encoding: 'utf8' });
  expect(said.trimEnd().split('\n')).toEqual([
    ...LINES.map(([, offered]) => offered.join(' ')),
    'complete -o default -F _qarr qarr',
  ]);
});

const hasZsh = spawnSync('zsh', ['--version']).error === undefined;

test.skipIf(!hasZsh)('zsh offers the same', () => {
  // What compsys does with them is its own; here it is seen what it is given.
  const stubs = `compdef() { print "compdef $*" }
    compadd() { shift; print -- "\${(@M)@:#$cur*}" }
    _describe() { local -a all=("\${(@P)2}"); all=("\${(@)all%%:*}"); print -- "\${(@M)all:#$cur*}" }
    _files() { print files }`;
  const asks = [...LINES.map(([typed]) => typed), 'qarr batch run -o '].map((typed) => {
    const words = typed.split(' ').map((word) => `'${word}'`);
    return `words=(${words.join(' ')}); CURRENT=${words.length}; _qarr`;
  });
  const script = `${stubs}\n${completionScript('zsh', tree)}\n${asks.join('\n')}`;
  const said = execFileSync('zsh', ['-f', '-c', script], { encoding: 'utf8' });
  expect(said.trimEnd().split('\n')).toEqual([
    'compdef _qarr qarr',
    ...LINES.map(([, offered]) => offered.join(' ')),
    'files',
  ]);
});
