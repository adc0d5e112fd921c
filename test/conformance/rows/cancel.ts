/** A job that is cancelled lets go of its engine at once: nobody computes what nobody wants. */
import { randomBytes } from 'node:crypto';
import { waitUntil } from '../../harness/wait-until.ts';
import { judgeLog } from '../judge.ts';
import type { LifeRow } from '../row.ts';
import type { Fault } from '../world/engine.ts';
import type { World } from '../world/world.ts';

/** So that there is time to cancel. */
const SLOWLY: Fault = { name: 'slow', params: { factor: 10 } };
const REQUEST = {
  messages: [{ role: 'user' as const, content: 'Write about what nobody will read.' }],
  max_tokens: 1_000,
  temperature: 0.7,
};

type Moment = 'before an answer' | 'in the middle';

export const CANCEL: readonly LifeRow[] = (['before an answer', 'in the middle'] as const).map(
  (moment): LifeRow => ({
    kind: 'life',
    section: 'interruptions',
    name: `cancelled ${moment}: the engine is free`,
    faults: moment === 'in the middle' ? ['slow'] : ['hang_before_headers'],
    play: (world) => cancel(world, moment),
  }),
);

async function cancel({ engines, jobs }: World, moment: Moment): Promise<readonly string[]> {
  const jobId = jobs.create();
  for (const engine of engines) {
    if (moment === 'in the middle') await engine.strike(SLOWLY);
    else await engine.addRule({ fault: { name: 'hang_before_headers' }, when: {} });
  }
  const traceparent = `00-${randomBytes(16).toString('hex')}-00f067aa0ba902b7-01`;
  await jobs.submit(jobId, { request: REQUEST, onInterrupt: 'continue', traceparent });
  const requestsNow = async () => {
    const states = await Promise.all(engines.map((engine) => engine.state()));
    const requests = states.flatMap(({ recent }) => recent);
    return requests.filter(({ request_id: id }) => id?.startsWith(`${jobId}-`));
  };
  if (moment === 'in the middle') await jobs.untilBegun(jobId);
  else await waitUntil('an engine has the request', async () => (await requestsNow()).length > 0);
  await jobs.cancel(jobId);
  const outcome = await jobs.untilOver(jobId);
  await waitUntil('its engine has nothing to do', async () => {
    const states = await Promise.all(engines.map((engine) => engine.state()));
    return states.every(({ running, waiting }) => running + waiting === 0);
  });
  const requests = await waitUntil('its request is over', async () => {
    const now = await requestsNow();
    return now.every(({ ended }) => ended !== null) ? now : null;
  });
  const endings = requests.map(({ ended }) => ended).join();
  return [
    ...judgeLog(outcome),
    ...(outcome.record.state === 'cancelled' ? [] : [`it is ${outcome.record.state}`]),
    ...(endings === 'aborted_by_client' ? [] : [`its requests ended as ${endings}`]),
  ];
}
