/** The last answer to each of the latest requests, in memory only. */
import { canonicalJson } from '@qarr/router-core';

/** A request with its answer; more would make the cache as large as what it is a cache of. */
const ENTRY_CHARS_MAX = 262_144;

export interface AnswerCache {
  keep(request: object, answer: object): void;
  /** A copy of the last answer to the same request; null if there is none. */
  find(request: object): unknown;
}

export function createAnswerCache({ entriesMax }: { entriesMax: number }): AnswerCache {
  /** From the longest unused on. */
  const entries = new Map<string, string>();
  return {
    keep(request, answer) {
      const key = canonicalJson(request);
      const text = JSON.stringify(answer);
      entries.delete(key);
      if (key.length + text.length > ENTRY_CHARS_MAX) return;
      entries.set(key, text);
      if (entries.size <= entriesMax) return;
      const [oldest = ''] = entries.keys();
      entries.delete(oldest);
    },
    find(request) {
      const key = canonicalJson(request);
      const text = entries.get(key);
      if (text === undefined) return null;
      entries.delete(key);
      entries.set(key, text);
      return JSON.parse(text);
    },
  };
}
