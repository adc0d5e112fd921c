import { describe, expect, it } from 'vitest';
import { HELP, runCommand } from './commands.ts';

/** Nothing of these comes so far as to read it. */
const deps = {
  readConfig: () => {
    throw new Error('the configuration was read');
  },
  say: () => {},
  remark: () => {},
};

describe('the tool for keys', () => {
  it.each([
    [['create'], '--owner: say whose key it is'],
    [['create', '--owner', 'A b'], '--owner: must be 1 to 64 of'],
    [['create', '--owner', 'a'.repeat(65)], '--owner: must be 1 to 64 of'],
    [['create', '--owner', 'a', '--scopes', 'all'], '--scopes: must be one of submit'],
    [['create', '--owner', 'a', '--scopes', ''], '--scopes: must be one of submit'],
    [['create', '--owner', 'a', '--max-class', 'urgent'], '--max-class: must be one of'],
    [
      ['create', '--owner', 'a', '--max-class', 'batch'],
      '--max-class: batch needs the scope batch',
    ],
    [['create', '--owner', 'a', '--rpm', '0'], '--rpm: must be a whole number from 1'],
    [['create', '--owner', 'a', '--rpm', '-1'], '--rpm: must be followed by a value'],
    [['create', '--owner', 'a', '--rpm=-1'], '--rpm: must be a whole number from 1'],
    [['create', '--owner', 'a', '--concurrency', '1.5'], '--concurrency: must be a whole number'],
    [['create', '--owner', 'a', '--tokens-per-day', 'x'], '--tokens-per-day: must be a whole'],
    [['create', '--owner', 'a', '--expires-in', '0s'], '--expires-in: must be a time such as'],
    [['create', '--owner', 'a', '--expires-in', '9999d'], '--expires-in: must be a time such as'],
    [['create', '--owner', 'a', 'key_1'], 'create takes no id'],
    [['create', '--owner', 'a', '--overlap', '1h'], 'create has no option --overlap'],
    [['create', '--owner', 'a', '--frobnicate'], "Unknown option '--frobnicate'"],
    [['rotate', 'key_1', '--overlap', 'long'], '--overlap: must be a time such as'],
    [['revoke'], 'revoke takes the id of one key'],
    [['list', '--owner', 'a'], 'list has no option --owner'],
    [['frobnicate'], 'there is no command "frobnicate"'],
  ])('refuses %j in one line', async (args, words) => {
    await expect(runCommand(args, deps)).rejects.toThrow(words);
  });

  it('takes what it is documented to take', async () => {
    const args = ['create', '--owner', 'acme', '--scopes', 'submit,batch', '--max-class', 'batch'];
    const limits = ['--rpm', '600', '--concurrency', '50', '--tokens-per-day', '1', '--expires-in'];
    await expect(runCommand([...args, ...limits, '90d'], deps)).rejects.toThrow('was read');
    for (const option of ['--owner', '--scopes', '--max-class', ...limits.filter(isOption)]) {
      expect(HELP).toContain(option);
    }
  });
});

function isOption(text: string): boolean {
  return text.startsWith('--');
}
