/** Submitting a job until its outcome is known, as far as that is safe. */
import type { Random } from '../random.ts';
import { ask, codeOf, pause, pickApi, textIn } from './client.ts';
import type { ClientContext } from './client.ts';
import { bodyOf } from './plan.ts';
import type { OpPlan } from './plan.ts';

const RETRY_MS = 300;
/** Faults end sooner; what is refused for longer is refused for good. */
const TRIES_MAX = 60;
/** What a server says whose tier has too much to do. */
export const BUSY_CODES = ['queue_full', 'overloaded', 'batch_paused', 'tier_unavailable'];
/** What a server that takes no job at all says: the same may be tried again, with a key or not. */
const REFUSED_STATUSES: ReadonlySet<number> = new Set([429]);
const REFUSED_CODES: ReadonlySet<string> = new Set(['shutting_down', ...BUSY_CODES]);

/** The id of the job, or null where it was refused or nobody can tell. */
export async function submitJob(
  plan: OpPlan,
  context: ClientContext,
  random: Random,
): Promise<string | null> {
  for (let tries = 0; tries < TRIES_MAX && !context.givenUp.aborted; tries += 1) {
    const { outcome, jobId } = await submitOnce(plan, context, random);
    if (outcome === 'acknowledged') return jobId;
    // Without a key a second job might be made.
    if (outcome === 'unknown' && plan.key === null) return null;
    await pause(RETRY_MS, context.givenUp);
  }
  return null;
}

/** One try, noted in the history. */
export async function submitOnce(
  plan: OpPlan,
  context: ClientContext,
  random: Random,
  { conflicting = false } = {},
) {
  const { history, givenUp } = context;
  const api = pickApi(context, random);
  const fromMs = history.nowMs();
  const reply = await ask(`${api.url}/v1/jobs`, {
    method: 'POST',
    body: bodyOf(plan, { conflicting }),
    headers: plan.key === null ? {} : { 'idempotency-key': plan.key },
    signal: givenUp,
  });
  const answered = reply === null || reply === 'refused' ? null : reply;
  const code = answered === null ? null : codeOf(answered.body);
  const outcome = reply === 'refused' ? 'refused' : outcomeOf(answered?.status ?? null, code);
  const jobId = outcome === 'acknowledged' ? textIn(answered?.body['id']) : null;
  const { op } = plan;
  const status = answered?.status ?? null;
  history.record({
    t: 'submit',
    op,
    api: api.name,
    fromMs,
    outcome,
    status,
    code,
    jobId,
    conflicting,
  });
  return { outcome, jobId };
}

export function outcomeOf(
  status: number | null,
  code: string | null,
): 'acknowledged' | 'refused' | 'unknown' {
  if (status === null) return 'unknown';
  if (status >= 200 && status < 300) return 'acknowledged';
  if (status < 500 || REFUSED_STATUSES.has(status)) return 'refused';
  return code !== null && REFUSED_CODES.has(code) ? 'refused' : 'unknown';
}
