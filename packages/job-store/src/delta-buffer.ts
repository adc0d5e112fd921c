/**
 * The deltas of an attempt that wait to be written. Plain text joins the plain text before it, so
 * that what comes while a call is under way becomes one event.
 */
import type { Logprobs, ToolCallPiece } from '@qarr/router-core';

/** A piece of an answer. */
export interface AnswerDelta {
  readonly text: string;
  /** The choice; absent for the first one. */
  readonly index?: number | undefined;
  readonly reasoning?: string | undefined;
  readonly toolCalls?: readonly ToolCallPiece[] | undefined;
  readonly logprobs?: Logprobs | undefined;
  /**
   * The tokens that the engine made since the delta before, where it tells. They may run ahead of
   * the text, never behind it: whoever carries the answer on relies on that.
   */
  readonly tokenIds?: readonly number[] | undefined;
}

/** An event as the scripts take it: type, JSON, token ids. */
export const EVENT_ARGS = 3;
/** Instead of token ids: they stand with the event before. */
export const TOLD_BEFORE = '+';
/** A delta is usually some words; after an outage it may be all that came meanwhile. */
const DELTA_CHARS_MAX = 8_192;

export interface DeltaBuffer {
  readonly isEmpty: boolean;
  /** Of all that was ever added; null once something came whose tokens were not told. */
  readonly tokens: number | null;
  add(delta: AnswerDelta): void;
  /** Empties it: usually one event, several where much has come together. */
  take(): string[];
}

/** What waits: plain text that grows, or a piece that says more and stays by itself. */
interface Pending {
  text: string;
  reasoning: string;
  tokenIds: number[];
  readonly more?: Omit<AnswerDelta, 'text' | 'reasoning' | 'tokenIds'>;
}

export function createDeltaBuffer(): DeltaBuffer {
  let pending: Pending[] = [];
  /** Tokens whose text the engine still holds back. */
  let idsAhead: number[] = [];
  let tokens: number | null = 0;

  return {
    get tokens() {
      return tokens;
    },
    get isEmpty() {
      return pending.length === 0;
    },
    add({ text, reasoning = '', tokenIds = [], index, toolCalls, logprobs }) {
      for (const id of tokenIds) idsAhead.push(id);
      if (tokens !== null) tokens += tokenIds.length;
      const isPlain = [index, toolCalls, logprobs].every((value) => value === undefined);
      if (isPlain && text === '' && reasoning === '') return;
      if (idsAhead.length === 0) tokens = null;
      const last = pending.at(-1);
      // Text without ids does not join text with ids: that would look as if all were told.
      const isSame = last !== undefined && last.tokenIds.length > 0 === idsAhead.length > 0;
      if (!isPlain) {
        pending.push({ text, reasoning, tokenIds: idsAhead, more: { index, toolCalls, logprobs } });
      } else if (last === undefined || last.more !== undefined || !isSame) {
        pending.push({ text, reasoning, tokenIds: idsAhead });
      } else {
        last.text += text;
        last.reasoning += reasoning;
        for (const id of idsAhead) last.tokenIds.push(id);
      }
      idsAhead = [];
    },
    take() {
      const events = pending.flatMap(eventsOf);
      pending = [];
      return events;
    },
  };
}

function eventsOf({ text, reasoning, tokenIds, more }: Pending): string[] {
  const texts = pieces(text);
  const reasonings = pieces(reasoning);
  const events: string[] = [];
  const count = Math.max(1, texts.length, reasonings.length);
  for (let part = 0; part < count; part += 1) {
    // A field that is undefined does not appear. The tokens stand with the first part: not behind
    // their text.
    const delta = {
      type: 'delta',
      text: texts[part] ?? '',
      reasoning: reasonings[part],
      index: more?.index,
      ...(part === 0 ? { tool_calls: more?.toolCalls, logprobs: more?.logprobs } : {}),
    };
    const ids = part === 0 ? tokenIds.join(',') : TOLD_BEFORE;
    events.push('delta', JSON.stringify(delta), tokenIds.length === 0 ? '' : ids);
  }
  return events;
}

/** Cuts a text so that no event is larger than a reader's buffer, and no character is torn. */
function pieces(text: string): string[] {
  const cut: string[] = [];
  for (let at = 0; at < text.length;) {
    const end = at + DELTA_CHARS_MAX;
    const isTorn = end < text.length && isHighSurrogate(text.charCodeAt(end - 1));
    const piece = text.slice(at, isTorn ? end - 1 : end);
    cut.push(piece);
    at += piece.length;
  }
  return cut;
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}
