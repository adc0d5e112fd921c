/** The whole of what one client does: submit, read, cancel, delete. */
import type { History } from '../history.ts';
import type { Random } from '../random.ts';
import { chat } from './chat.ts';
import { ask, pause, pickApi, textIn } from './client.ts';
import type { ClientContext } from './client.ts';
import type { CancelPlan, OpPlan } from './plan.ts';
import { readJob } from './reader.ts';
import { submitJob, submitOnce } from './submit.ts';

const RETRY_MS = 300;
/** A receipt waits some seconds for the worker. */
const CANCEL_TIMEOUT_MS = 8_000;
/** A job that shall be cancelled while it runs, and never does. */
const UNTIL_RUNNING_MS = 5_000;

export async function runOp(plan: OpPlan, context: ClientContext, random: Random): Promise<void> {
  noteOp(plan, context.history);
  if (plan.surface !== 'job') return chat(plan, context, random);
  const submits = Array.from({ length: plan.submits }, (_, index) =>
    submitJob(plan, context, random.fork(`submit-${index}`)),
  );
  const jobId = (await Promise.all(submits)).find((id) => id !== null);
  if (jobId === undefined) return;
  if (plan.conflicts) await submitOnce(plan, context, random, { conflicting: true });

  const running = Promise.withResolvers<void>();
  const reading = plan.readers.map((reader, index) =>
    readJob(
      { jobId, reader: `${plan.op}/${index}`, plan: reader },
      context,
      random.fork(`reader-${index}`),
      (type) => {
        if (type === 'delta') running.resolve();
      },
    ),
  );
  if (plan.cancel !== null) {
    if (plan.cancel.whenRunning) {
      await Promise.race([running.promise, pause(UNTIL_RUNNING_MS, context.givenUp)]);
    }
    await cancelJob(jobId, plan.cancel, context, random.fork('cancel'));
  }
  await Promise.all(reading);
  if (plan.deletes) await deleteJob(jobId, context, random.fork('delete'));
}

function noteOp(plan: OpPlan, history: History): void {
  const { op, surface, tier, fallback, key, onInterrupt, queueTimeoutMs, runTimeoutMs } = plan;
  history.record({
    t: 'op',
    op,
    surface,
    tier,
    fallback,
    key,
    onInterrupt,
    queueTimeoutMs,
    runTimeoutMs,
  });
}

async function cancelJob(
  jobId: string,
  plan: CancelPlan,
  context: ClientContext,
  random: Random,
): Promise<void> {
  await pause(plan.waitMs, context.givenUp);
  await Promise.all(
    Array.from({ length: plan.times }, async (_, index) => {
      const { history, givenUp } = context;
      const api = pickApi(context, random.fork(String(index)));
      const fromMs = history.nowMs();
      const reply = await ask(`${api.url}/v1/jobs/${jobId}/cancel`, {
        method: 'POST',
        signal: givenUp,
        timeoutMs: CANCEL_TIMEOUT_MS,
      });
      const answered = reply === null || reply === 'refused' ? null : reply;
      history.record({
        t: 'cancel',
        jobId,
        api: api.name,
        fromMs,
        status: answered?.status ?? null,
        jobState: textIn(answered?.body['status']),
      });
    }),
  );
}

/** To delete twice does no harm: it is tried until it is answered. */
async function deleteJob(jobId: string, context: ClientContext, random: Random): Promise<void> {
  const { history, givenUp } = context;
  while (!givenUp.aborted) {
    const api = pickApi(context, random);
    const fromMs = history.nowMs();
    const reply = await ask(`${api.url}/v1/jobs/${jobId}`, {
      method: 'DELETE',
      signal: givenUp,
      timeoutMs: CANCEL_TIMEOUT_MS,
    });
    const status = reply === null || reply === 'refused' ? null : reply.status;
    history.record({ t: 'delete', jobId, api: api.name, fromMs, status });
    if (status !== null && status < 500) return;
    await pause(RETRY_MS, givenUp);
  }
}
