/**
 * People beside the batch: each sends a prompt, reads its answer as it comes, over whatever breaks, and
 * sends the next one.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { readFrames } from '../chaos/load/frames.ts';
import type { Random } from '../chaos/random.ts';
import type { StreamSeen } from './evidence.ts';

const PAUSE_MS = 100;
/** Nobody looks at more than this of one answer: a process may be gone for seconds. */
const GIVE_UP_MS = 120_000;
/** A replica that is silent for longer than its heartbeats allow is gone. */
const SILENT_MS = 5_000;
const TERMINAL: ReadonlySet<string> = new Set(['completed', 'failed', 'cancelled', 'expired']);
const TOPICS = ['tides', 'bread', 'bridges', 'maps', 'clocks', 'glass', 'rivers', 'kites'];

export interface Streams {
  readonly seen: readonly StreamSeen[];
  /** Those that are not over and have text. */
  speaking(): number;
  /** Lets those that are open come to their end. */
  stop(): Promise<void>;
}

export interface Prompt {
  readonly prompt: string;
  readonly max_tokens: number;
}

type Draft = { -readonly [Key in keyof StreamSeen]: StreamSeen[Key] } & { workers: string[] };

export function startStreams({
  count,
  tokens,
  thinkingMs,
  apis,
  random,
  expect,
}: {
  count: number;
  /** Of each answer, at most. */
  tokens: readonly [min: number, max: number];
  /** Between an answer that was read and the next prompt. */
  thinkingMs: readonly [min: number, max: number];
  apis: readonly { readonly url: string }[];
  random: Random;
  /** What an undisturbed engine says. */
  expect: (prompt: Prompt) => Promise<string | null>;
}): Streams {
  const seen: StreamSeen[] = [];
  const open = new Set<StreamSeen>();
  const stopping = new AbortController();

  async function loop(own: Random): Promise<void> {
    while (!stopping.signal.aborted) {
      const prompt = { prompt: `Tell me of ${own.pick(TOPICS)}, ${own.int(0, 1e9)}.` };
      const request = { ...prompt, max_tokens: own.int(...tokens) };
      const stream = await readOne(request, { apis, random: own, open });
      seen.push({ ...stream, expected: await expect(request) });
      await sleep(own.int(...thinkingMs));
    }
  }

  const loops = Array.from({ length: count }, (_, index) => loop(random.fork(`person-${index}`)));
  return {
    seen,
    speaking: () => [...open].filter(({ text }) => text !== '').length,
    async stop() {
      stopping.abort();
      await Promise.all(loops);
    },
  };
}

async function readOne(
  prompt: Prompt,
  {
    apis,
    random,
    open,
  }: { apis: readonly { readonly url: string }[]; random: Random; open: Set<StreamSeen> },
): Promise<StreamSeen> {
  const fromMs = performance.now();
  const draft: Draft = {
    fromMs,
    firstMs: null,
    toMs: fromMs,
    end: 'given up',
    text: '',
    expected: null,
    isGapless: true,
    jobId: null,
    workers: [],
    resets: 0,
  };
  const givenUp = AbortSignal.timeout(GIVE_UP_MS);
  const pick = () => random.pick(apis).url;
  const jobId = await submit(prompt, { pick, givenUp });
  draft.jobId = jobId;
  if (jobId === null) return draft;
  open.add(draft);
  let last = 0;
  while (!givenUp.aborted && draft.end === 'given up') {
    last = await follow(`${pick()}/v1/jobs/${jobId}/events?after=${last}`, {
      last,
      draft,
      givenUp,
    });
    if (draft.end === 'given up') await sleep(PAUSE_MS);
  }
  open.delete(draft);
  draft.toMs = performance.now();
  return draft;
}

/** Sent again until somebody takes it: with its key it makes one job. */
async function submit(
  prompt: Prompt,
  { pick, givenUp }: { pick: () => string; givenUp: AbortSignal },
): Promise<string | null> {
  const body = { ...prompt, tier: 'fast', class: 'interactive', queue_timeout_ms: GIVE_UP_MS };
  const headers = { 'content-type': 'application/json', 'idempotency-key': randomUUID() };
  while (!givenUp.aborted) {
    try {
      const response = await fetch(`${pick()}/v1/jobs`, {
        method: 'POST',
        headers,
        body: JSON.stringify(body),
        signal: AbortSignal.any([givenUp, AbortSignal.timeout(SILENT_MS)]),
      });
      const answer = (await response.json()) as { id?: string };
      if (answer.id !== undefined) return answer.id;
    } catch {
      // The replica is gone, or Redis is.
    }
    await sleep(PAUSE_MS);
  }
  return null;
}

/** One connection. Returns the number of the last event that was seen. */
async function follow(
  url: string,
  { last: before, draft, givenUp }: { last: number; draft: Draft; givenUp: AbortSignal },
): Promise<number> {
  let last = before;
  const hangUp = new AbortController();
  const silence = setTimeout(() => hangUp.abort(), SILENT_MS);
  try {
    const signal = AbortSignal.any([givenUp, hangUp.signal]);
    const { body, status } = await fetch(url, { signal });
    if (status !== 200 || body === null) return last;
    for await (const frames of readFrames(body, { onBytes: () => silence.refresh() })) {
      for (const { id, event, data } of frames) {
        if (id === null) continue;
        if (id !== last + 1) draft.isGapless = false;
        last = id;
        const { text = '', worker = '' } = JSON.parse(data) as { text?: string; worker?: string };
        if (event === 'delta') draft.firstMs ??= performance.now();
        if (event === 'delta') draft.text += text;
        if (event === 'started') draft.workers.push(worker);
        if (event === 'reset') Object.assign(draft, { text: '', resets: draft.resets + 1 });
        if (TERMINAL.has(event)) {
          draft.end = event;
          return last;
        }
      }
    }
  } catch {
    // Cut: it goes on elsewhere.
  } finally {
    clearTimeout(silence);
    hangUp.abort();
  }
  return last;
}
