/** A chat, whole or streamed. Without a key it is bound to its connection, and tried once. */
import type { ChatEntry } from '../history.ts';
import type { Random } from '../random.ts';
import { ask, codeOf, isRefused, pause, pickApi, textIn } from './client.ts';
import type { ClientContext } from './client.ts';
import { readFrames } from './frames.ts';
import { bodyOf } from './plan.ts';
import type { OpPlan } from './plan.ts';
import { BUSY_CODES, outcomeOf } from './submit.ts';

/** As long as a connected client waits at all. */
const CHAT_TIMEOUT_MS = 45_000;
const RETRY_MS = 300;
const TRIES_MAX = 60;
const AGAIN_CODES: ReadonlySet<string> = new Set([
  'shutting_down',
  'queue_unavailable',
  ...BUSY_CODES,
]);
/** Heartbeats come each second. */
const SILENCE_MS = 5_000;

export async function chat(plan: OpPlan, context: ClientContext, random: Random): Promise<void> {
  const { givenUp } = context;
  const tryOnce = plan.surface === 'chat' ? chatWhole : chatStreamed;
  for (let tries = 0; tries < TRIES_MAX && !givenUp.aborted; tries += 1) {
    const isOver = await tryOnce(plan, context, random);
    // Without a key, a second try would be a second job.
    if (isOver || plan.key === null) return;
    await pause(RETRY_MS, givenUp);
  }
}

/** Whether it has its answer, or will get no other one. */
async function chatWhole(plan: OpPlan, context: ClientContext, random: Random): Promise<boolean> {
  const { history, givenUp } = context;
  const api = pickApi(context, random);
  const fromMs = history.nowMs();
  const reply = await ask(`${api.url}/v1/chat/completions`, {
    method: 'POST',
    body: bodyOf(plan),
    headers: keyHeader(plan),
    signal: givenUp,
    timeoutMs: CHAT_TIMEOUT_MS,
  });
  const answered = reply === null || reply === 'refused' ? null : reply;
  const code = answered === null ? null : codeOf(answered.body);
  const jobId = answered?.jobId ?? null;
  const status = answered?.status ?? null;
  // A failed answer that names its job is that of a job that was accepted.
  const outcome =
    reply === 'refused' ? 'refused' : jobId === null ? outcomeOf(status, code) : 'acknowledged';
  const { op } = plan;
  const api_ = api.name;
  history.record({
    t: 'submit',
    op,
    api: api_,
    fromMs,
    outcome,
    status,
    code,
    jobId,
    conflicting: false,
  });
  if (answered === null || jobId === null) return outcome === 'acknowledged';
  const end = answered.status === 200 ? 'done' : 'error';
  history.record({ t: 'chat', op, jobId, text: contentOf(answered.body), end, code });
  return !isAgain(end, code);
}

async function chatStreamed(
  plan: OpPlan,
  context: ClientContext,
  random: Random,
): Promise<boolean> {
  const { history, givenUp } = context;
  const api = pickApi(context, random);
  const { op } = plan;
  const fromMs = history.nowMs();
  const hangUp = new AbortController();
  const silence = setTimeout(() => hangUp.abort(), SILENCE_MS);
  const submitted = { t: 'submit', op, api: api.name, fromMs, conflicting: false } as const;
  let response: Response;
  try {
    response = await fetch(`${api.url}/v1/chat/completions`, {
      method: 'POST',
      body: JSON.stringify(bodyOf(plan)),
      headers: { 'content-type': 'application/json', ...keyHeader(plan) },
      signal: AbortSignal.any([givenUp, hangUp.signal]),
    });
  } catch (error) {
    clearTimeout(silence);
    const outcome = isRefused(error) ? 'refused' : 'unknown';
    history.record({ ...submitted, outcome, status: null, code: null, jobId: null });
    return false;
  }
  const { status } = response;
  const jobId = response.headers.get('x-qarr-job');
  if (status !== 200 || response.body === null || jobId === null) {
    const code = codeIn(await response.text().catch(() => ''));
    clearTimeout(silence);
    history.record({ ...submitted, outcome: outcomeOf(status, code), status, code, jobId });
    return false;
  }
  history.record({ ...submitted, outcome: 'acknowledged', status, code: null, jobId });
  const seen = await readChunks(response.body, { plan, onBytes: () => silence.refresh() });
  clearTimeout(silence);
  hangUp.abort();
  history.record({ t: 'chat', op, jobId, ...seen });
  return !isAgain(seen.end, seen.code);
}

/** Cut off, though its job may go on: a retry with the same key attaches to it. */
function isAgain(end: ChatEntry['end'], code: string | null): boolean {
  return end === 'cut' || (end === 'error' && (code === null || AGAIN_CODES.has(code)));
}

async function readChunks(
  body: ReadableStream<Uint8Array>,
  { plan, onBytes }: { plan: OpPlan; onBytes: () => void },
): Promise<Pick<ChatEntry, 'text' | 'end' | 'code'>> {
  let content = '';
  let pieces = 0;
  try {
    for await (const frames of readFrames(body, { onBytes })) {
      for (const { data } of frames) {
        if (data === '[DONE]') return { text: content, end: 'done', code: null };
        const chunk = JSON.parse(data) as Record<string, unknown>;
        const code = codeOf(chunk);
        if (code !== null) return { text: content, end: 'error', code };
        content += contentOf(chunk);
        pieces += 1;
      }
      if (plan.leavesAfter !== null && pieces >= plan.leavesAfter) {
        return { text: content, end: 'left', code: null };
      }
    }
  } catch {
    // The replica has died, or the connection.
  }
  return { text: content, end: 'cut', code: null };
}

/** The text of the first choice, of an answer or of a piece of one. */
function contentOf(body: Record<string, unknown>): string {
  const choices = (body['choices'] ?? []) as {
    index: number;
    message?: { content?: unknown };
    delta?: { content?: unknown };
  }[];
  const first = choices.find(({ index }) => index === 0);
  return textIn(first?.message?.content ?? first?.delta?.content) ?? '';
}

function keyHeader({ key }: OpPlan): Record<string, string> {
  return key === null ? {} : { 'idempotency-key': key };
}

function codeIn(json: string): string | null {
  try {
    return codeOf(JSON.parse(json) as Record<string, unknown>);
  } catch {
    // Cut off.
    return null;
  }
}
