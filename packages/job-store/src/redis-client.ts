/**
 * A connection as the rest of this package sees it: to one server, to the primary that sentinels
 * name, or to a cluster.
 *
 * On one server, commands that are sent one behind the other are done in that order. A cluster keeps
 * that promise for keys of one slot only: what relies on it for others says so, by `inTurn` or
 * `inOrder`.
 */
import { Cluster } from 'ioredis';
import type { ChainableCommander, Redis } from 'ioredis';

export type RedisClient = Redis | Cluster;

export function isCluster(redis: RedisClient): redis is Cluster {
  return redis instanceof Cluster;
}

/** Each server that takes writes. */
export function primariesOf(redis: RedisClient): Redis[] {
  return isCluster(redis) ? redis.nodes('master') : [redis];
}

/**
 * A pipeline, whatever slots its keys are of. On a cluster each command goes to its node by itself,
 * and is answered, redirected or sent again by itself. `inOrder`: each is done before the next.
 */
export function pipelineOf(
  redis: RedisClient,
  { inOrder = false }: { inOrder?: boolean } = {},
): ChainableCommander {
  if (!isCluster(redis)) return redis.pipeline();
  const commands: (() => Promise<unknown>)[] = [];

  async function exec(): Promise<[Error | null, unknown][]> {
    if (!inOrder) return Promise.all(commands.map(answerOf));
    const answers: [Error | null, unknown][] = [];
    for (const command of commands) answers.push(await answerOf(command));
    return answers;
  }

  const pipeline: ChainableCommander = new Proxy({} as ChainableCommander, {
    get(_, name: keyof Cluster) {
      if ((name as string) === 'exec') return exec;
      return (...args: unknown[]) => {
        commands.push(() => (redis[name] as (...given: unknown[]) => Promise<unknown>)(...args));
        return pipeline;
      };
    },
  });
  return pipeline;
}

/** Steps of which each is sent before the next, so that it is done before the next. */
export async function inTurn(
  redis: RedisClient,
  steps: readonly (() => Promise<unknown>)[],
): Promise<void> {
  if (isCluster(redis)) for (const step of steps) await step();
  else await Promise.all(steps.map((step) => step()));
}

async function answerOf(command: () => Promise<unknown>): Promise<[Error | null, unknown]> {
  try {
    return [null, await command()];
  } catch (error) {
    return [error as Error, null];
  }
}
