/** Redis dies, freezes, and loses connections or scripts. */
import { last } from './fault.ts';
import type { Fault } from './fault.ts';

const DOWN_MS_MAX = 3_000;
const FROZEN_MS_MAX = 5_000;
const DROP_EVERY_MS = 400;
const DROPS_MAX = 15;

export const REDIS_FAULTS: readonly Fault[] = [
  {
    name: 'kill-redis',
    help: 'SIGKILL of Redis, which is started again on its AOF up to 3 s later',
    draw: ({ redis }, random) => {
      const downMs = random.int(0, DOWN_MS_MAX);
      return {
        target: 'redis',
        detail: `down for ${downMs} ms`,
        async run(signal) {
          await redis.kill();
          await last(downMs, signal);
          await redis.start();
        },
      };
    },
  },
  {
    name: 'freeze-redis',
    help: 'SIGSTOP of Redis for up to 5 s, then SIGCONT',
    draw: ({ redis }, random) => {
      const frozenMs = random.int(500, FROZEN_MS_MAX);
      return {
        target: 'redis',
        detail: `for ${frozenMs} ms`,
        async run(signal) {
          redis.freeze();
          await last(frozenMs, signal);
          redis.thaw();
        },
      };
    },
  },
  {
    name: 'drop-pubsub',
    help: 'CLIENT KILL TYPE pubsub, again and again',
    draw: ({ redis }, random) => {
      const drops = random.int(1, DROPS_MAX);
      return {
        target: 'pubsub',
        detail: `${drops} times`,
        async run(signal) {
          for (let drop = 0; drop < drops && !signal.aborted; drop += 1) {
            await redis.observer.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
            await last(DROP_EVERY_MS, signal);
          }
        },
      };
    },
  },
  {
    name: 'flush-scripts',
    help: 'SCRIPT FLUSH: every script must be sent again',
    draw: ({ redis }) => ({
      target: 'scripts',
      detail: '',
      run: async () => void (await redis.observer.script('FLUSH')),
    }),
  },
];
