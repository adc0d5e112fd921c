import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createStopper } from './run-process.ts';

const RUN_PROCESS = new URL('run-process.ts', import.meta.url).href;
const CONFIGURATION = new URL('configuration.ts', import.meta.url).href;

/** Starts a process whose `start` has this body. It writes lines with `say`. */
function startProcess(start: string) {
  const script = `
    import { runProcess } from ${JSON.stringify(RUN_PROCESS)};
    import { ConfigurationError } from ${JSON.stringify(CONFIGURATION)};
    const say = (line) => process.stdout.write(line + '\\n');
    const busy = setInterval(() => {}, 1_000);
    process.exit(await runProcess('qarr-test', async () => { ${start} }));`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const lines: string[] = [];
  const waiting: { line: string; resolve: () => void }[] = [];
  child.stdout.setEncoding('utf8').on('data', (data: string) => {
    lines.push(...data.trim().split('\n'));
    for (const { line, resolve } of waiting) if (lines.includes(line)) resolve();
  });
  const stderr = text(child.stderr);
  const exit = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
  return {
    kill: (signal: NodeJS.Signals) => void child.kill(signal),
    async says(line: string): Promise<void> {
      if (lines.includes(line)) return;
      await new Promise<void>((resolve) => waiting.push({ line, resolve }));
    },
    async end() {
      const [code, signal] = await exit;
      return { code, signal, stderr: await stderr, lines };
    },
  };
}

const SERVE = `say('started'); return { async stop() { say('stopped'); } };`;

describe('a process', { timeout: 30_000 }, () => {
  it.each(['SIGTERM', 'SIGINT'] as const)('stops in order at %s, with code 0', async (signal) => {
    const child = startProcess(SERVE);
    await child.says('started');
    child.kill(signal);
    expect(await child.end()).toEqual({
      code: 0,
      signal: null,
      stderr: '',
      lines: ['started', 'stopped'],
    });
  });

  it('that cannot start says so in one line, with code 1', async () => {
    const child = startProcess(`throw new Error('Redis does not answer\\nat line 1');`);
    expect(await child.end()).toMatchObject({
      code: 1,
      stderr: 'qarr-test: Redis does not answer\n',
    });
  });

  it('that is misconfigured says so in one line, with code 2', async () => {
    const child = startProcess(`throw new ConfigurationError('PORT: must be a number');`);
    expect(await child.end()).toMatchObject({
      code: 2,
      stderr: 'qarr-test: PORT: must be a number\n',
    });
  });

  it.each([
    [
      'an error without a message',
      `throw Object.assign(new AggregateError([], ''), { code: 'ECONNREFUSED' });`,
      'ECONNREFUSED',
    ],
    ['what is no error', `throw 'a word';`, 'a word'],
  ])('that cannot start because of %s says what it can', async (_name, start, line) => {
    expect(await startProcess(start).end()).toMatchObject({
      code: 1,
      stderr: `qarr-test: ${line}\n`,
    });
  });

  it('that can no longer work says why and stops, with code 1', async () => {
    const child = startProcess(`
      const failed = Promise.withResolvers();
      setImmediate(() => failed.reject(new Error('nothing comes')));
      return { stop: async () => say('stopped'), failed: failed.promise };`);
    expect(await child.end()).toMatchObject({
      code: 1,
      stderr: 'qarr-test: nothing comes\n',
      lines: ['stopped'],
    });
  });

  it('that cannot stop says why in one line, with code 1', async () => {
    const child = startProcess(`
      say('started');
      return { stop: async () => { throw new Error('cannot stop'); } };`);
    await child.says('started');
    child.kill('SIGTERM');
    expect(await child.end()).toMatchObject({ code: 1, stderr: 'qarr-test: cannot stop\n' });
  });

  it('ends at once at the second signal', async () => {
    const child = startProcess(`
      say('started');
      return { stop() { say('stopping'); return new Promise(() => {}); } };`);
    await child.says('started');
    child.kill('SIGTERM');
    await child.says('stopping');
    child.kill('SIGTERM');
    expect(await child.end()).toMatchObject({ code: 1, signal: null, stderr: '' });
  });

  it('stops when it was told to before it had started', async () => {
    const child = startProcess(`
      say('starting');
      await new Promise((resolve) => process.once('SIGTERM', resolve));
      return { async stop() { say('stopped'); } };`);
    await child.says('starting');
    child.kill('SIGTERM');
    expect(await child.end()).toMatchObject({ code: 0, lines: ['starting', 'stopped'] });
  });

  it('ends at the second signal also when it never starts', async () => {
    const child = startProcess(`
      process.once('SIGTERM', () => say('told'));
      say('starting');
      return new Promise(() => {});`);
    await child.says('starting');
    child.kill('SIGTERM');
    await child.says('told');
    child.kill('SIGTERM');
    expect(await child.end()).toMatchObject({ code: 1, signal: null });
  });
});

describe('a stopper', () => {
  it('stops last-in first-out, one after the other, and only once', async () => {
    const order: string[] = [];
    const stopper = createStopper();
    for (const name of ['a', 'b', 'c']) {
      stopper.add(async () => {
        order.push(`${name} begins`);
        await Promise.resolve();
        order.push(`${name} ends`);
      });
    }
    const first = stopper.stop();
    expect(stopper.stop()).toBe(first);
    await first;
    await stopper.stop();
    expect(order).toEqual(['c begins', 'c ends', 'b begins', 'b ends', 'a begins', 'a ends']);
  });

  it('stops the others when one cannot, and says so', async () => {
    const order: string[] = [];
    const stopper = createStopper();
    stopper.add(() => void order.push('a'));
    stopper.add(() => Promise.reject(new Error('b cannot')));
    stopper.add(() => {
      throw new Error('c cannot');
    });
    await expect(stopper.stop()).rejects.toThrow('c cannot');
    await expect(stopper.stop()).rejects.toThrow('c cannot');
    expect(order).toEqual(['a']);
  });

  it('has nothing to stop at first', async () => {
    await expect(createStopper().stop()).resolves.toBeUndefined();
  });
});
