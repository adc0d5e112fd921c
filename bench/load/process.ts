/** The load client: a process of its own, so that who measures does not disturb it. */
import { holdIdle } from './hold-idle.ts';
import type { IdleStreams } from './hold-idle.ts';
import type { Tells, Told } from './messages.ts';
import { runLoad } from './run-load.ts';

let idle: IdleStreams | null = null;

async function obey(told: Told): Promise<Tells> {
  switch (told.kind) {
    case 'run':
      return {
        kind: 'done',
        result: await runLoad(told.options, (phase) => tell({ kind: 'full', phase })),
      };
    case 'hold':
      idle = await holdIdle(told.options);
      return { kind: 'held' };
    case 'release': {
      const { lost = 0, bytes = 0 } = idle ?? {};
      await idle?.close();
      idle = null;
      return { kind: 'released', lost, bytes };
    }
    default:
      return told satisfies never;
  }
}

function tell(tells: Tells): void {
  process.send?.(tells);
}

process.on('message', (told: Told) => {
  obey(told).then(tell, (error: unknown) => tell({ kind: 'failed', message: String(error) }));
});
// Without its parent it is of no use.
process.on('disconnect', () => process.exit());
tell({ kind: 'ready' });
