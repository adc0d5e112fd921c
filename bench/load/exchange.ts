/** Asks for one answer, reads it to its end and notes what became of it. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Dispatcher } from 'undici';
import { markOf, seedOf } from '../upstream/answer-text.ts';
import { createAnswerReader } from './answer-reader.ts';
import type { AnswerShape } from './answer-reader.ts';
import type { LoadOptions } from './load.ts';
import type { Sender, Sent } from './request.ts';
import type { Tally } from './tally.ts';

/** Where answers come from; several where a path has several replicas. */
export interface Origin {
  readonly dispatcher: Dispatcher;
  readonly path: string;
}

export interface Asked {
  /** In an open loop: when it should have been sent. */
  readonly dueMs: number | null;
  readonly tokens: number;
}

export type Exchange = (origin: Origin, asked: Asked) => Promise<void>;

const WORDS = 'It was the best of times, it was the worst of times, it was the age of wisdom. ';

export function createExchange(
  options: LoadOptions,
  { run, tally, sender }: { run: string; tally: Tally; sender: Sender },
): Exchange {
  const { exchanging = { kind: 'chat' } } = options;
  const headers = { 'content-type': 'application/json', ...options.headers };
  const bodyOf = createBody(options);
  let count = 0;

  return async (origin, asked) => {
    count += 1;
    const answerId = `${run}-${count}`;
    const body = bodyOf({ answerId, tokens: asked.tokens });
    const posted: Sent = { path: origin.path, method: 'POST', headers, body };
    const chat = { answerId, shape: 'chat', asked } as const;
    if (exchanging.kind === 'chat') return read(origin, posted, chat);
    const jobId = await submit(origin, posted);
    if (jobId === null) return;
    await sleep(exchanging.followAfterMs);
    const path = `${origin.path}/${jobId}/events`;
    return read(
      origin,
      { path, method: 'GET', headers: options.headers, body: null },
      { ...chat, shape: 'job' },
    );
  };

  async function submit(origin: Origin, sent: Sent): Promise<string | null> {
    let answer = '';
    const receiver = { onData: (bytes: Buffer) => (answer += bytes.toString('latin1')) };
    const failed = await sender.send(origin.dispatcher, sent, receiver);
    const id = failed === null ? /"id":"([^"]+)"/.exec(answer)?.[1] : undefined;
    if (id === undefined) tally.onError(failed?.why ?? 'no job', failed?.detail ?? '');
    return id ?? null;
  }

  async function read(
    origin: Origin,
    sent: Sent,
    {
      answerId,
      shape,
      asked: { dueMs, tokens },
    }: { answerId: string; shape: AnswerShape; asked: Asked },
  ): Promise<void> {
    const reader = createAnswerReader({ shape, seed: seedOf(answerId), tokens });
    let fromMs = dueMs ?? 0;
    let firstMs = 0;
    let lastMs = 0;
    let isSampled = false;
    let bytes = 0;

    const failed = await sender.send(origin.dispatcher, sent, {
      onWritten() {
        const nowMs = performance.now();
        isSampled = tally.isFull;
        if (dueMs === null) fromMs = nowMs;
        else tally.onLate(nowMs - dueMs);
      },
      onData(chunk) {
        bytes += chunk.length;
        const completed = reader.read(chunk);
        if (completed === 0) return;
        const nowMs = performance.now();
        tally.onTokens(completed);
        if (firstMs === 0) firstMs = nowMs;
        else if (isSampled) tally.onGap(nowMs - lastMs);
        // They came together.
        if (isSampled) for (let more = 1; more < completed; more += 1) tally.onGap(0);
        lastMs = nowMs;
      },
    });
    tally.onRead({ bytes, chunks: reader.chunks });
    if (failed !== null) return tally.onError(failed.why, failed.detail);
    const fault = reader.end();
    if (fault !== null) return tally.onError(fault, `answer ${answerId}`);
    tally.onWhole({ ttftMs: firstMs - fromMs, answerMs: lastMs - fromMs, isSampled });
  }
}

/** The parts of a body that are the same for all are made once. */
function createBody({ model, promptBytes }: LoadOptions) {
  const words = WORDS.repeat(Math.ceil(promptBytes / WORDS.length)).slice(0, promptBytes);
  const options = '"stream":true,"stream_options":{"include_usage":true}';
  const head = `{"model":"${model}",${options},"messages":[{"role":"user","content":"`;
  return ({ answerId, tokens }: { answerId: string; tokens: number }) => {
    const mark = `${markOf(answerId)} `;
    return `${head}${mark}${words.slice(mark.length)}"}],"max_tokens":${tokens}}`;
  };
}
