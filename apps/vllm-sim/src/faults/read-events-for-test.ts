import { gunzipSync } from 'node:zlib';
import type { RawAnswer } from './raw-client-for-test.ts';

/** The choices of an answer, put together from its stream. */
export type ReadAnswer = {
  text: string;
  tokenIds: number[];
  finishReason: string | null;
  usage: unknown;
  isDone: boolean;
};

type ReadChunk = {
  choices: {
    delta?: { content?: string | null };
    text?: string;
    token_ids?: number[] | null;
    finish_reason: string | null;
  }[];
  usage?: unknown;
};

/** The answer in a stream; throws where an event is no JSON or bytes are no UTF-8. */
export function readAnswer(answer: RawAnswer): ReadAnswer {
  const read: ReadAnswer = {
    text: '',
    tokenIds: [],
    finishReason: null,
    usage: null,
    isDone: false,
  };
  for (const data of readEvents(answer)) {
    if (data === '[DONE]') {
      read.isDone = true;
      continue;
    }
    const chunk: ReadChunk = JSON.parse(data);
    read.usage = chunk.usage ?? read.usage;
    for (const choice of chunk.choices) {
      read.text += choice.delta?.content ?? choice.text ?? '';
      read.tokenIds.push(...(choice.token_ids ?? []));
      read.finishReason = choice.finish_reason ?? read.finishReason;
    }
  }
  return read;
}

/**
 * The data of the events of a stream, by the standard (WHATWG HTML, 9.2.6) and by no code of the
 * simulator: a byte order mark first, three kinds of line end, comments, fields with or without a
 * space, data over several lines, and no event before its blank line.
 */
export function readEvents(answer: Pick<RawAnswer, 'headers' | 'body'>): string[] {
  const isZipped = answer.headers['content-encoding'] === 'gzip';
  const bytes = isZipped ? gunzipSync(answer.body) : answer.body;
  // Takes the byte order mark off.
  const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  const events: string[] = [];
  let data: string[] = [];
  const lines = text.split(/\r\n|\r|\n/);
  // What follows the last line end is no line.
  for (const line of lines.slice(0, -1)) {
    if (line === '') {
      if (data.length > 0) events.push(data.join('\n'));
      data = [];
      continue;
    }
    const [, field, value = ''] = /^([^:]*):? ?(.*)$/s.exec(line) ?? [];
    if (field === 'data') data.push(value);
  }
  return events;
}
