/** A reader of a job's events, who comes back until the end, to any replica. */
import { digestOf } from '../history.ts';
import type { ReadEntry } from '../history.ts';
import type { Random } from '../random.ts';
import { REPLY_TIMEOUT_MS, pause, pickApi } from './client.ts';
import type { ClientContext } from './client.ts';
import { readFrames } from './frames.ts';
import type { ReaderPlan } from './plan.ts';

const PAUSE_MS = 200;
const TERMINAL: ReadonlySet<string> = new Set(['completed', 'failed', 'cancelled', 'expired']);
/** The only refusals after which it makes no sense to come back. */
const FINAL_STATUSES: ReadonlySet<number> = new Set([400, 404]);

export interface ReadTask {
  readonly jobId: string;
  readonly reader: string;
  readonly plan: ReaderPlan;
}

/** Called with the type of each event as it comes. */
export type OnEvent = (type: string) => void;

/** Resolves when it has seen the end, has left, or everybody has given up. */
export async function readJob(
  { jobId, reader, plan }: ReadTask,
  context: ClientContext,
  random: Random,
  onEvent: OnEvent = () => {},
): Promise<void> {
  const { history, givenUp, newest } = context;
  await pause(plan.waitMs, givenUp);
  const known = newest.get(jobId) ?? 0;
  let last = plan.fromShare === null ? 0 : Math.floor(plan.fromShare * known);
  let breaksAfter = plan.breaksAfter;
  while (!givenUp.aborted) {
    const entry = await readOnce(
      { jobId, reader, after: last, breaksAfter },
      context,
      random,
      onEvent,
    );
    history.record(entry);
    last = entry.events.at(-1)?.[0] ?? last;
    newest.set(jobId, Math.max(last, newest.get(jobId) ?? 0));
    if (entry.end === 'over') return;
    if (entry.end === 'refused' && FINAL_STATUSES.has(entry.status ?? 0)) return;
    if (entry.end === 'left') {
      if (plan.leaves) return;
      breaksAfter = null;
    }
    await pause(PAUSE_MS, givenUp);
  }
  history.record({ t: 'starved', reader, jobId, last });
}

interface Session {
  readonly jobId: string;
  readonly reader: string;
  readonly after: number;
  readonly breaksAfter: number | null;
}

/** One connection. */
async function readOnce(
  { jobId, reader, after, breaksAfter }: Session,
  context: ClientContext,
  random: Random,
  onEvent: OnEvent,
): Promise<ReadEntry> {
  const api = pickApi(context, random);
  const events: [number, string][] = [];
  const base = { t: 'read', reader, jobId, api: api.name, after, events } as const;
  const fromMs = context.history.nowMs();
  const hangUp = new AbortController();
  // Heartbeats come each second: a replica that is silent for longer is gone, or frozen.
  const silence = setTimeout(() => hangUp.abort(), REPLY_TIMEOUT_MS);
  try {
    // Both ways to say where to go on mean the same.
    const byHeader = random.chance(0.5);
    const query = byHeader ? '' : `?after=${after}`;
    const response = await fetch(`${api.url}/v1/jobs/${jobId}/events${query}`, {
      headers: byHeader ? { 'last-event-id': String(after) } : {},
      signal: AbortSignal.any([context.givenUp, hangUp.signal]),
    });
    const { status } = response;
    if (status === 204) return { ...base, fromMs, end: 'over', status };
    if (status !== 200 || response.body === null) {
      await response.text();
      return { ...base, fromMs, end: 'refused', status };
    }
    for await (const frames of readFrames(response.body, { onBytes: () => silence.refresh() })) {
      for (const { id, event, data } of frames) {
        if (id === null) continue;
        events.push([id, digestOf(data)]);
        onEvent(event);
        if (TERMINAL.has(event)) return { ...base, fromMs, end: 'over', status };
      }
      if (breaksAfter !== null && events.length >= breaksAfter) {
        return { ...base, fromMs, end: 'left', status };
      }
    }
    return { ...base, fromMs, end: 'cut', status };
  } catch {
    return { ...base, fromMs, end: 'cut', status: null };
  } finally {
    clearTimeout(silence);
    hangUp.abort();
  }
}
