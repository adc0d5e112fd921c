/** What the API tells when all is over: every job that there is, and its events from the first one on. */
import { readFrames } from '../chaos/load/frames.ts';

/** As long as a page may be. */
const PAGE = 100;
const AT_ONCE = 16;
const TERMINAL: ReadonlySet<string> = new Set(['completed', 'failed', 'cancelled', 'expired']);

export interface JobLeft {
  readonly id: string;
  readonly status: string;
  /** Of its result; null where it has none. */
  readonly text: string | null;
  /** How often its text was carried on. */
  readonly continued: number;
  readonly tokens: number;
  /** Of its log. */
  readonly loggedText: string;
  readonly isGapless: boolean;
  readonly terminalEvents: number;
}

export async function lookUpAll(apis: readonly { readonly url: string }[]): Promise<JobLeft[]> {
  const base = apis[0]?.url ?? '';
  const ids: string[] = [];
  for (let after = ''; ;) {
    const query = `limit=${PAGE}${after === '' ? '' : `&after=${encodeURIComponent(after)}`}`;
    const page = await json<{ data: { id: string }[]; has_more: boolean; next_cursor: string }>(
      `${base}/v1/jobs?${query}`,
    );
    ids.push(...page.data.map(({ id }) => id));
    if (!page.has_more) break;
    after = page.next_cursor;
  }
  const left = ids.values();
  const jobs: JobLeft[] = [];
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (const id of left) jobs.push(await lookUp(base, id));
    }),
  );
  return jobs;
}

async function lookUp(base: string, id: string): Promise<JobLeft> {
  const job = await json<{
    status: string;
    result?: { text?: string; continued?: number } | null;
    usage?: { completion_tokens: number } | null;
  }>(`${base}/v1/jobs/${id}`);
  let [loggedText, last, terminalEvents, isGapless] = ['', 0, 0, true];
  const { body } = await fetch(`${base}/v1/jobs/${id}/events`);
  if (body === null) throw new Error(`${id} has no events`);
  for await (const frames of readFrames(body, { onBytes() {} })) {
    for (const { id: seq, event, data } of frames) {
      if (seq === null) continue;
      isGapless &&= seq === last + 1;
      last = seq;
      if (event === 'reset') loggedText = '';
      if (event === 'delta') loggedText += (JSON.parse(data) as { text?: string }).text ?? '';
      if (TERMINAL.has(event)) terminalEvents += 1;
    }
  }
  return {
    id,
    status: job.status,
    text: job.result?.text ?? null,
    continued: job.result?.continued ?? 0,
    tokens: job.usage?.completion_tokens ?? 0,
    loggedText,
    isGapless,
    terminalEvents,
  };
}

async function json<Body>(url: string): Promise<Body> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return (await response.json()) as Body;
}
