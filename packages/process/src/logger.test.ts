import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createErrorLog, createLogger } from './logger.ts';

const SECRET = 'my prompt';

/** A log whose lines the test can read. */
function createReadableLog() {
  const lines: Record<string, unknown>[] = [];
  const log = pino(
    { base: null, timestamp: false },
    { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) },
  );
  return { log, lines };
}

function errorWithCode(code: string): Error {
  return Object.assign(new Error(SECRET), { code });
}

describe('a log of errors', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }));
  afterEach(() => void vi.useRealTimers());

  it('names the cause and never the message, which may hold arguments', () => {
    const { log, lines } = createReadableLog();
    const logError = createErrorLog(log, 'redis');
    logError(errorWithCode('ECONNRESET'));
    logError(new Error(`OOM command not allowed, args: ${SECRET}`));
    logError(new TypeError(SECRET));
    logError(
      Object.assign(new Error(`ERR wrong, args: ${SECRET}`), { command: { args: [SECRET] } }),
    );
    logError(new Error(''));
    expect(lines.map(({ cause }) => cause)).toEqual([
      'ECONNRESET',
      'OOM',
      'TypeError',
      'ERR',
      'Error',
    ]);
    for (const line of lines) expect(line).toMatchObject({ msg: 'redis', left_out: 0 });
    expect(JSON.stringify(lines)).not.toContain(SECRET);
  });

  it('finds the cause within, and knows what ioredis says without a code', () => {
    const { log, lines } = createReadableLog();
    const logError = createErrorLog(log, 'redis');
    const refused = errorWithCode('ECONNREFUSED');
    for (const error of [
      new AggregateError([refused, refused], SECRET),
      new Error(SECRET, { cause: refused }),
      new Error("Stream isn't writeable and enableOfflineQueue options is false"),
      new Error('Connection is closed.'),
      new Error('Command timed out'),
      new Error("Socket timeout. Expecting data, but didn't receive any in 3000ms."),
      new Error(`Command timed out: ${SECRET}`),
    ]) {
      logError(error);
    }
    expect(lines.map(({ cause }) => cause)).toEqual([
      'ECONNREFUSED',
      'not connected',
      'connection closed',
      'command timeout',
      'socket timeout',
    ]);
    expect(JSON.stringify(lines)).not.toContain(SECRET);
  });

  it('has one line a second for each cause, and says how many it left out', () => {
    const { log, lines } = createReadableLog();
    const logError = createErrorLog(log, 'redis');
    for (let count = 0; count < 1_000; count += 1) logError(errorWithCode('A'));
    logError(errorWithCode('B'));
    vi.advanceTimersByTime(999);
    logError(errorWithCode('A'));
    expect(lines).toMatchObject([{ cause: 'A' }, { cause: 'B' }]);
    vi.advanceTimersByTime(1);
    logError(errorWithCode('A'));
    expect(lines).toHaveLength(3);
    expect(lines[2]).toMatchObject({ cause: 'A', left_out: 1_000 });
    vi.advanceTimersByTime(1_000);
    logError(errorWithCode('A'));
    expect(lines[3]).toMatchObject({ cause: 'A', left_out: 0 });
  });
});

describe('a logger', () => {
  it('has the level that it is given', () => {
    expect(createLogger({ name: 'test', level: 'silent' }).level).toBe('silent');
    expect(createLogger({ name: 'test', level: 'debug' }).isLevelEnabled('debug')).toBe(true);
  });
});

describe('the lines of a process', () => {
  const LOGGER = JSON.stringify(new URL('logger.ts', import.meta.url).href);

  function run(script: string) {
    const begin = `import { createLogger } from ${LOGGER}; const log = createLogger({ name: 'test', level: 'info' });`;
    const args = ['--input-type=module', '--eval', `${begin}\n${script}`];
    return spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  }

  it('are written before it exits in the same turn, whether it wants to or not', async () => {
    for (const end of ['process.exit(3)', "throw new Error('thrown')"]) {
      const child = run(`log.info('first'); log.info('last'); ${end};`);
      expect(await text(child.stdout)).toMatch(/"first"}\n.*"last"}\n$/);
    }
  });

  it('do not hold it up where nobody reads them any more', async () => {
    const child = run(`
      log.info('first');
      setTimeout(() => log.info('unread'), 50);
      setTimeout(() => { log.info('last'); process.exit(3); }, 100);
    `);
    child.stdout.once('data', () => child.stdout.destroy());
    const stuck = setTimeout(() => child.kill('SIGKILL'), 10_000);
    const [code] = (await once(child, 'exit')) as [number | null];
    clearTimeout(stuck);
    expect(code).toBe(3);
  });

  it('come while it goes on', async () => {
    const child = run("log.info('begun'); setTimeout(() => {}, 10_000);");
    const [line] = (await once(child.stdout.setEncoding('utf8'), 'data')) as [string];
    expect(line).toContain('"begun"');
    child.kill('SIGKILL');
    await once(child, 'exit');
  });
});
