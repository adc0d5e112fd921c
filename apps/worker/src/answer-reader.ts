/**
 * Reads the body of one streamed answer: bytes in, deltas out. An answer is whole only with a legal
 * finish reason and an end of its own, `[DONE]` or a clean end of the response.
 */
import { finishReasonSchema } from '@qarr/router-core';
import type { FinishReason, Usage } from '@qarr/router-core';
import { createParser } from 'eventsource-parser';
import { parseChunk } from './engine-chunk.ts';
import { failureOfEnding, failureOfErrorEvent, failureOfProtocol } from './engine-failure.ts';
import type { EngineFailure } from './engine-failure.ts';

/** One event of a stream; an engine's chunk is some 250 bytes. */
const EVENT_CHARS_MAX = 1_048_576;

export type AnswerEnding =
  | { kind: 'whole'; finishReason: FinishReason }
  | { kind: 'failed'; failure: EngineFailure };

export interface AnswerReader {
  /** The last count that the engine gave, or null where it gives none. */
  readonly usage: Usage | null;
  /** Returns how the answer ended, or null while it goes on. Nothing is read after the ending. */
  read(bytes: Uint8Array): AnswerEnding | null;
  /** The response has ended cleanly. */
  end(): AnswerEnding;
}

export function createAnswerReader({
  onDelta,
  onChunk,
  isStopped,
}: {
  onDelta: (delta: { text: string; reasoning: string }) => void;
  /** Called for each chunk, before its delta. */
  onChunk: (chunk: { hasText: boolean }) => void;
  /** When true, no delta is wanted any more. */
  isStopped: () => boolean;
}): AnswerReader {
  // Not UTF-8 is not an answer: a replacement character would be a wrong text.
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const parser = createParser({
    maxBufferSize: EVENT_CHARS_MAX,
    onEvent: ({ data }) => readEvent(data),
    onError(error) {
      if (error.type !== 'max-buffer-size-exceeded') return;
      ending ??= protocolBroken('The engine sent an event of more than 1 MB.');
    },
  });
  let usage: Usage | null = null;
  let finishReason: string | null = null;
  let ending: AnswerEnding | null = null;

  function readEvent(data: string): void {
    if (ending !== null || isStopped()) return;
    if (data === '[DONE]') {
      ending = conclude(finishReason);
      return;
    }
    const chunk = parseChunk(data);
    if (chunk.kind === 'malformed') {
      ending = protocolBroken('The engine sent an event that is not a chunk.');
    } else if (chunk.kind === 'error') {
      ending = { kind: 'failed', failure: failureOfErrorEvent(chunk) };
    } else {
      usage = chunk.usage ?? usage;
      finishReason = chunk.finishReason ?? finishReason;
      const { text, reasoning } = chunk;
      const hasText = text !== '' || reasoning !== '';
      onChunk({ hasText });
      if (hasText) onDelta({ text, reasoning });
    }
  }

  function feed(decode: () => string): void {
    let text: string;
    try {
      text = decode();
    } catch {
      ending = protocolBroken('The engine sent bytes that are not UTF-8.');
      return;
    }
    parser.feed(text);
  }

  return {
    get usage() {
      return usage;
    },
    read(bytes) {
      if (ending === null) feed(() => decoder.decode(bytes, { stream: true }));
      return ending;
    },
    end() {
      // A last event may lack its blank line; if it was cut, it is malformed.
      if (ending === null) feed(() => `${decoder.decode()}\n\n`);
      return ending ?? conclude(finishReason);
    },
  };
}

function conclude(finishReason: string | null): AnswerEnding {
  const legal = finishReasonSchema.safeParse(finishReason);
  if (legal.success) return { kind: 'whole', finishReason: legal.data };
  return { kind: 'failed', failure: failureOfEnding(finishReason) };
}

function protocolBroken(message: string): AnswerEnding {
  return { kind: 'failed', failure: failureOfProtocol(message) };
}
