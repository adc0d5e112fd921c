/** Starts a load client as a process of its own. It does one thing at a time. */
import { startChild, stopChild } from '../child.ts';
import type { IdleOptions, LoadOptions, LoadResult } from './load.ts';
import type { Tells, Told } from './messages.ts';

export interface Load {
  readonly pid: number;
  /** `onFull` tells when the warm-up is over and when the time is: measure between both. */
  run(options: LoadOptions, onFull?: (phase: 'begin' | 'end') => void): Promise<LoadResult>;
  /** Resolves when all streams are open. */
  hold(options: IdleOptions): Promise<void>;
  /** Closes them; those that were `lost` had ended by themselves. */
  release(): Promise<{ lost: number; bytes: number }>;
  stop(): Promise<void>;
}

export async function startLoad(): Promise<Load> {
  const { child, pid } = await startChild(new URL('process.ts', import.meta.url));

  function ask<Kind extends Tells['kind']>(
    told: Told,
    { kind, onFull }: { kind: Kind; onFull?: ((phase: 'begin' | 'end') => void) | undefined },
  ): Promise<Extract<Tells, { kind: Kind }>> {
    const { promise, resolve, reject } = Promise.withResolvers<Extract<Tells, { kind: Kind }>>();
    function onMessage(tells: Tells): void {
      if (tells.kind === 'full') onFull?.(tells.phase);
      else if (tells.kind === 'failed') reject(new Error(tells.message));
      else if (tells.kind === kind) resolve(tells as Extract<Tells, { kind: Kind }>);
    }
    const onExit = () => reject(new Error('the load client has ended'));
    child.on('message', onMessage);
    child.once('exit', onExit);
    child.send(told);
    return promise.finally(() => {
      child.off('message', onMessage);
      child.off('exit', onExit);
    });
  }

  return {
    pid,
    async run(options, onFull) {
      return (await ask({ kind: 'run', options }, { kind: 'done', onFull })).result;
    },
    async hold(options) {
      await ask({ kind: 'hold', options }, { kind: 'held' });
    },
    release: () => ask({ kind: 'release' }, { kind: 'released' }),
    stop: () => stopChild(child),
  };
}
