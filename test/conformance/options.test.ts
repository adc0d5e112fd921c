import { describe, expect, it } from 'vitest';
import { readOptions } from './options.ts';

const ENGINE = ['--url', 'http://127.0.0.1:8000/v1', '--model', 'llama'];

describe('the flags of the conformance command', () => {
  it('ask for the personas where there are none', () => {
    expect(readOptions([], {})).toEqual({ kind: 'personas' });
  });

  it('name an engine, its model and where its key is', () => {
    const named = { kind: 'engine', url: 'http://127.0.0.1:8000/v1', model: 'llama' };
    expect(readOptions(ENGINE, {})).toEqual({ ...named, apiKey: undefined });
    const withKey = readOptions([...ENGINE, '--api-key-env', 'KEY'], { KEY: 'secret' });
    expect(withKey).toEqual({ ...named, apiKey: 'secret' });
  });

  it.each([
    [['--urll', 'x'], "Unknown option '--urll'"],
    [['--url'], "Option '--url <value>' argument missing"],
    [['http://x'], 'Unexpected argument'],
    [['--url', 'localhost:8000', '--model', 'a'], '--url must be an http(s) URL'],
    [['--url', 'http://x'], '--url needs --model'],
    [['--model', 'a'], '--model and --api-key-env are of use only with --url'],
    [[...ENGINE, '--api-key-env', 'NONE'], '--api-key-env: there is no NONE'],
  ])('are refused by one line: %j', (args, message) => {
    const options = readOptions(args, {});
    if (options.kind !== 'refused') throw new Error('They were taken.');
    expect(options.message).toContain(message);
    expect(options.message).not.toContain('\n');
  });
});
