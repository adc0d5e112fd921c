import { describe, expect, it } from 'vitest';
import { takeSteps } from '../../packages/job-store/src/scripts.ts';
import type { Step } from '../../packages/job-store/src/scripts.ts';
import { createStores } from '../harness/store.ts';

describe('steps that are taken as one', () => {
  it('are done in their order, each with keys and arguments of its own', async () => {
    const { redis, root } = createStores();
    const [set, key] = [`${root}:set`, `${root}:key`];
    await redis.hset(key, 'job', 'j1');
    const replies = await takeSteps(redis, [
      { command: 'zadd', keys: [set], args: [1, 'one', 2, 'two'] },
      { script: 'mark-key', keys: [key], args: ['j1'] },
      { command: 'zrem', keys: [set], args: ['one'] },
    ]);
    expect(replies).toEqual([2, 1, 1]);
    expect(await redis.zrange(set, '0', '-1')).toEqual(['two']);
    expect(await redis.hget(key, 'written')).toBe('1');
  });

  it.each([
    ['one that is named', ['1'], 1],
    ['none that is named', ['0', '11', '21'], 0],
    ['nobody cares which', undefined, 1],
  ] as const)('go on behind an outcome: %s', async (_name, goOn, added) => {
    const { redis, root } = createStores();
    const key = `${root}:key`;
    await redis.hset(key, 'job', 'j1');
    const replies = await takeSteps(redis, [
      { script: 'mark-key', keys: [key], args: ['j1'], ...(goOn && { goOn }) },
      { command: 'sadd', keys: [`${root}:set`], args: ['a'] },
    ]);
    expect(replies).toEqual(added === 1 ? [1, 1] : [1]);
    expect(await redis.scard(`${root}:set`)).toBe(added);
  });

  it('end with the error of a script', async () => {
    const { redis, root } = createStores();
    const job = { state: 'running', attempt: 1, seq: 3, followers: '', claim: 'c' };
    await redis.hset(`${root}:{j}:job`, job);
    const finish: Step = {
      script: 'finish',
      keys: [`${root}:{j}:job`, `${root}:{j}:log`],
      args: ['j', 1, 9, 'completed', '{}', 'c', 0],
    };
    const after: Step = { command: 'sadd', keys: [`${root}:set`], args: ['a'] };
    await expect(takeSteps(redis, [finish, after])).rejects.toThrow('GAP job is at 3');
    expect(await redis.exists(`${root}:set`)).toBe(0);
  });

  it('end with the code of an error of Redis, by which a connection finds another server', async () => {
    const { redis, root } = createStores();
    await redis.set(`${root}:key`, 'no hash');
    const mark: Step = { script: 'mark-key', keys: [`${root}:key`], args: ['j1'] };
    const enter: Step = { command: 'sadd', keys: [`${root}:key`], args: ['a'] };
    await expect(takeSteps(redis, [mark])).rejects.toThrow(/^WRONGTYPE /);
    await expect(takeSteps(redis, [enter])).rejects.toThrow(/^WRONGTYPE /);
  });

  it('leave a place for a reply that is nothing', async () => {
    const { redis, root } = createStores();
    const ledger = Array.from({ length: 8 }, (_, at) => `${root}:${at}`);
    const replies = await takeSteps(redis, [
      { script: 'ledger-start', keys: ledger, args: ['nobody'] },
      { command: 'sadd', keys: [`${root}:set`], args: ['a'] },
    ]);
    expect(replies).toEqual([null, 1]);
  });
});
