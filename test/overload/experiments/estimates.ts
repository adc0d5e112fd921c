/** What jobs were told of their wait, and how long they have waited. */
import type { Outcome } from '../load/outcome.ts';

export interface Estimate {
  readonly dueMs: number;
  readonly estimatedMs: number;
  readonly realMs: number;
}

/** A stream of a chat does not say it; its events do, and each look costs a request. */
const CHATS_MAX = 400;
const AT_ONCE = 8;
const TIMEOUT_MS = 5_000;

export async function readEstimates(
  outcomes: readonly Outcome[],
  apis: readonly string[],
): Promise<Estimate[]> {
  const done = outcomes.filter(({ end }) => end === 'done');
  const told = done.flatMap(({ dueMs, estimatedWaitMs, queueWaitMs }) =>
    estimatedWaitMs === null || queueWaitMs === null
      ? []
      : [{ dueMs, estimatedMs: estimatedWaitMs, realMs: queueWaitMs }],
  );
  const chats = done.filter(({ wish }) => wish.class === 'interactive');
  const every = Math.max(1, Math.ceil(chats.length / CHATS_MAX));
  const sample = chats.filter((_chat, index) => index % every === 0);
  const read: Estimate[] = [];
  const lanes = Array.from({ length: AT_ONCE }, async (_, lane) => {
    for (let index = lane; index < sample.length; index += AT_ONCE) {
      const chat = sample[index];
      if (chat?.jobId === undefined || chat.jobId === null) continue;
      const found = await readEvents(`${apis[0]}/v1/jobs/${chat.jobId}/events`);
      if (found !== null) read.push({ dueMs: chat.dueMs, ...found });
    }
  });
  await Promise.all(lanes);
  return [...told, ...read];
}

async function readEvents(url: string): Promise<Omit<Estimate, 'dueMs'> | null> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) });
    return estimateIn(await response.text());
  } catch {
    // It is one of hundreds.
    return null;
  }
}

/** From all events of a job; null where they do not say it. */
export function estimateIn(events: string): Omit<Estimate, 'dueMs'> | null {
  const dataOf = (name: string) =>
    new RegExp(`^event: ${name}\\ndata: (.*)$`, 'm').exec(events)?.[1] ?? '{}';
  const queued = JSON.parse(dataOf('queued')) as { estimated_wait_ms?: number | null };
  const completed = JSON.parse(dataOf('completed')) as { timings?: { queue_wait_ms: number } };
  const estimatedMs = queued.estimated_wait_ms ?? null;
  const realMs = completed.timings?.queue_wait_ms ?? null;
  return estimatedMs === null || realMs === null ? null : { estimatedMs, realMs };
}
