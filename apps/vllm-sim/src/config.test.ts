import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { flagTable, parseConfig } from './config.ts';

test('no flags give a runnable configuration', () => {
  expect(parseConfig([])).toMatchObject({
    kind: 'config',
    config: { host: '127.0.0.1', seed: 0, sequencesMax: 256, modelNames: ['qarr-sim'] },
  });
});

test('the card says how much fits, unless the flags do', () => {
  expect(parseConfig(['--profile', 'h100-fp8'])).toMatchObject({
    config: { sequencesMax: 1024, batchedTokensMax: 8192, kvBlocks: 30_500, prefixCaching: true },
  });
  const flags = ['--max-num-seqs', '3000', '--num-gpu-blocks', '600', '--no-enable-prefix-caching'];
  expect(parseConfig(flags)).toMatchObject({
    config: { sequencesMax: 3000, batchedTokensMax: 3000, kvBlocks: 600, prefixCaching: false },
  });
});

test('the served model name may be repeated', () => {
  const flags = ['--served-model-name', 'llama', '--served-model-name', 'alias'];
  expect(parseConfig(flags)).toMatchObject({ config: { modelNames: ['llama', 'alias'] } });
});

test.for([
  [['--persona', '0.5'], '--persona "0.5" does not exist; there is: current, 0.6.4, 0.32, generic'],
  [['--port', 'http'], '--port must be a whole number from 0 to 65535, not "http"'],
  [['--max-num-seqs', '0'], '--max-num-seqs must be a whole number from 1 to 100000, not "0"'],
  [
    ['--max-num-seqs', '100', '--max-num-batched-tokens', '99'],
    '--max-num-batched-tokens (99) must not be less than --max-num-seqs (100)',
  ],
  [
    ['--max-model-len', '8193', '--num-gpu-blocks', '512'],
    '--max-model-len 8193 needs 513 blocks of KV cache for one request, and there are 512; at most 8192 tokens fit',
  ],
  [
    ['--scheduling-policy', 'lifo'],
    '--scheduling-policy "lifo" does not exist; there is: fcfs, priority',
  ],
  [['--jitter', '2'], '--jitter must be a number from 0 to 1, not "2"'],
  [['--time-scale', '-'], '--time-scale must be a number from 0 to 1000, not "-"'],
] as const)('%s is refused in one line', ([flags, message]) => {
  expect(parseConfig(flags)).toEqual({ kind: 'refused', message });
});

test('an unknown profile is refused with the list of those that exist', () => {
  expect(parseConfig(['--profile', 'tpu'])).toMatchObject({
    kind: 'refused',
    message: expect.stringMatching(
      /^--profile "tpu" does not exist; there is: awq-24gb, .*instant$/,
    ),
  });
});

test('an unknown flag is refused in one line', () => {
  const result = parseConfig(['--prot', '8000']);
  expect(result).toMatchObject({ kind: 'refused', message: expect.stringContaining('--prot') });
  expect(result).not.toMatchObject({ message: expect.stringContaining('\n') });
});

test('the README shows the flags as they are', () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  const flags = rows(flagTable()).slice(2);
  expect(rows(readme)).toEqual(expect.arrayContaining(flags));
});

/** The lines of a Markdown text; a formatter may have padded its tables. */
function rows(text: string): string[] {
  return text.split('\n').map((line) => line.replaceAll(/ +/g, ' '));
}
