/** Processes that die, freeze, and are rolled. */
import type { Random } from '../random.ts';
import type { Member, MemberKind } from '../world/member.ts';
import type { World } from '../world/world.ts';
import { last, pickOne } from './fault.ts';
import type { Fault, Strike } from './fault.ts';

/** Twice the time after which the queue takes a worker's jobs away. */
const FREEZE_WORKER_MS_MAX = 20_000;
const FREEZE_API_MS_MAX = 5_000;
const AWAY_MS_MAX = 3_000;

export const PROCESS_FAULTS: readonly Fault[] = [
  kill('worker'),
  kill('api'),
  kill('engine'),
  freeze('worker', { msMin: 1_000, msMax: FREEZE_WORKER_MS_MAX }),
  freeze('api', { msMin: 1_000, msMax: FREEZE_API_MS_MAX }),
  roll('worker'),
  roll('api'),
];

function kill(kind: MemberKind): Fault {
  return {
    name: `kill-${kind}`,
    help: `SIGKILL of a process of kind ${kind}, which is started again up to 3 s later`,
    draw: (world, random) =>
      strike(world, kind, random, (member) => {
        const awayMs = random.int(0, AWAY_MS_MAX);
        return {
          target: member.name,
          detail: `away for ${awayMs} ms`,
          async run(signal) {
            await member.kill();
            await last(awayMs, signal);
            await member.start();
          },
        };
      }),
  };
}

function freeze(kind: MemberKind, { msMin, msMax }: { msMin: number; msMax: number }): Fault {
  return {
    name: `freeze-${kind}`,
    help: `SIGSTOP of a process of kind ${kind} for up to ${msMax / 1_000} s, then SIGCONT`,
    draw: (world, random) =>
      strike(world, kind, random, (member) => {
        const frozenMs = random.int(msMin, msMax);
        return {
          target: member.name,
          detail: `for ${frozenMs} ms`,
          async run(signal) {
            member.freeze();
            await last(frozenMs, signal);
            member.thaw();
          },
        };
      }),
  };
}

/** SIGSTOP of the worker that has most jobs, so that there is something to be taken over. */
export function freezeBusiest({ ms }: { ms: number }): Fault {
  return {
    name: 'freeze-busiest',
    help: 'SIGSTOP of the worker that has most jobs',
    draw: ({ workers }) => ({
      target: 'workers',
      detail: `for ${ms} ms`,
      async run(signal) {
        const loads = await Promise.all(workers.map(runningAt));
        const busiest = workers[loads.indexOf(Math.max(...loads))];
        busiest?.freeze();
        await last(ms, signal);
        busiest?.thaw();
      },
    }),
  };
}

async function runningAt({ url }: Member): Promise<number> {
  const page = await (await fetch(`${url}/metrics`)).text();
  return Number(/^qarr_worker_slots\{.*state="running".*\} (\d+)$/m.exec(page)?.[1] ?? 0);
}

function roll(kind: MemberKind): Fault {
  return {
    name: `roll-${kind}`,
    help: `SIGTERM of a process of kind ${kind}; started again when it has stopped`,
    draw: (world, random) =>
      strike(world, kind, random, (member) => ({
        target: member.name,
        detail: '',
        async run() {
          await member.terminate();
          await member.start();
        },
      })),
  };
}

function strike(
  world: World,
  kind: MemberKind,
  random: Random,
  plan: (member: Member) => Strike,
): Strike | null {
  const members = { api: world.apis, runner: [], worker: world.workers, engine: world.engines }[
    kind
  ];
  const member = pickOne(members, random);
  return member === null ? null : plan(member);
}
