/**
 * Reads the server-sent events of one answer as they come, and judges it. Reading must cost little, or
 * the client would be what is measured: an event is parsed only where it is more than a piece of text.
 */
import { createAnswerCheck } from './answer-check.ts';

/** The last event of a job is `completed`, of a chat `[DONE]`. */
export type AnswerShape = 'chat' | 'job';

export interface AnswerReader {
  /** Returns the number of tokens that this completes. */
  read(bytes: Buffer): number;
  /** Events with text, so far. */
  readonly chunks: number;
  /** Why it is not whole, or null where nothing speaks against it so far. */
  readonly fault: string | null;
  /** The response is over. Null where the answer is whole, otherwise why it is not. */
  end(): string | null;
}

interface Chunk {
  readonly type?: string;
  readonly text?: string;
  readonly finish_reason?: string;
  readonly error?: unknown;
  readonly choices?: readonly {
    readonly delta?: { readonly content?: string | null } | null;
    readonly finish_reason?: string | null;
  }[];
  readonly usage?: { readonly completion_tokens?: number } | null;
}

const DATA = 'data: ';
/** What a chunk has that is nothing but a piece of text. */
const PLAIN = {
  chat: { text: '"content":"', sign: '"finish_reason":null' },
  job: { text: '"text":"', sign: '"type":"delta"' },
} as const;

export function createAnswerReader({
  shape,
  seed,
  tokens,
}: {
  shape: AnswerShape;
  seed: number;
  tokens: number;
}): AnswerReader {
  const check = createAnswerCheck({ seed, tokens });
  const plain = PLAIN[shape];
  /** The begin of an event whose end has not come. */
  let begun = '';
  let completed = 0;
  let chunks = 0;
  let finishReason: string | null = null;
  let isDone = false;
  let fault: string | null = null;

  function onText(text: string): void {
    if (text === '') return;
    chunks += 1;
    const count = check.take(text);
    if (count === null) fault ??= 'other text';
    else completed += count;
  }

  function onEvent(event: string): void {
    const at = event.startsWith(DATA) ? 0 : event.indexOf(`\n${DATA}`) + 1;
    // A comment, or a field without data.
    if (at === 0 && !event.startsWith(DATA)) return;
    if (isDone) fault ??= 'more after the end';
    const textAt = event.indexOf(plain.text, at);
    if (textAt !== -1 && event.includes(plain.sign, at)) {
      const from = textAt + plain.text.length;
      onText(event.slice(from, event.indexOf('"', from)));
      return;
    }
    onData(event.slice(at + DATA.length));
  }

  function onData(data: string): void {
    if (data === '[DONE]') {
      isDone = true;
      return;
    }
    const chunk = parse(data);
    if (chunk === null) fault ??= 'no JSON';
    else if (shape === 'job') onJobEvent(chunk);
    else onChunk(chunk);
  }

  function onChunk({ choices, usage, error }: Chunk): void {
    if (error !== undefined) fault ??= 'error event';
    const choice = choices?.[0];
    onText(choice?.delta?.content ?? '');
    finishReason = choice?.finish_reason ?? finishReason;
    const counted = usage?.completion_tokens ?? null;
    // Some tell it with each chunk.
    if (counted !== null && finishReason !== null && counted !== tokens) fault ??= 'other usage';
  }

  function onJobEvent({ type, text = '', finish_reason: reason, usage }: Chunk): void {
    if (type === 'delta') onText(text);
    if (type === 'failed' || type === 'cancelled' || type === 'expired') fault ??= `job ${type}`;
    if (type !== 'completed') return;
    isDone = true;
    finishReason = reason ?? null;
    if (usage?.completion_tokens !== tokens) fault ??= 'other usage';
  }

  return {
    read(bytes) {
      const before = completed;
      const text = begun + bytes.toString('latin1');
      let from = 0;
      for (let to = text.indexOf('\n\n'); to !== -1; to = text.indexOf('\n\n', from)) {
        onEvent(text.slice(from, to));
        from = to + 2;
      }
      begun = text.slice(from);
      return completed - before;
    },
    get chunks() {
      return chunks;
    },
    get fault() {
      return fault;
    },
    end() {
      if (fault !== null) return fault;
      if (!check.isComplete) return 'cut short';
      if (finishReason !== 'length') return 'no finish reason';
      if (!isDone || begun.trim() !== '') return 'no end';
      return null;
    },
  };
}

function parse(data: string): Chunk | null {
  try {
    return JSON.parse(data) as Chunk;
  } catch {
    return null;
  }
}
