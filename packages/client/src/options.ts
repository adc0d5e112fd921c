/** What a client and its calls can be told; what it makes of that is in `settings.ts`. */
import type { BreakerState } from './answers.ts';
import type { FilePurpose } from './batch-answers.ts';

export type ChatFallback = 'none' | 'queue' | 'cache';

/** The state of a tier's circuit breaker has changed. */
export interface BreakerChange {
  readonly tier: string;
  readonly from: BreakerState;
  readonly to: BreakerState;
}

export interface BreakerSettings {
  /** Hard failures in a row that open it; 0: it never opens. */
  readonly failureThreshold?: number | undefined;
  /** How long it is open the first time, a fifth less or more; twice as long each further time. */
  readonly resetTimeoutMs?: number | undefined;
  readonly resetTimeoutMsMax?: number | undefined;
  /** Calls one after another that close it again. */
  readonly successThreshold?: number | undefined;
}

export interface ClientOptions {
  /** `https://qarr.example`, or several replicas: after a failure the next one is asked. */
  readonly baseUrl: string | readonly string[];
  /** Or what makes one, asked before each request. */
  readonly apiKey?: string | (() => string | Promise<string>) | undefined;
  readonly fetch?: typeof globalThis.fetch | undefined;
  /** Tries of a request after the first one. */
  readonly maxRetries?: number | undefined;
  /** For the answer to one try, but for chats and uploads. */
  readonly timeoutMs?: number | undefined;
  /** For the whole answer of a chat, from one try. */
  readonly chatTimeoutMs?: number | undefined;
  /** For a file to be sent and stored, from one try. */
  readonly uploadTimeoutMs?: number | undefined;
  /** Longest wait that a `Retry-After` is obeyed for; what asks for more fails at once. */
  readonly retryAfterMsMax?: number | undefined;
  /** Largest answer, and largest event, in characters. */
  readonly answerCharsMax?: number | undefined;
  /** A stream without a sign of life for so long is taken up anew; heartbeats come each 15 s. */
  readonly silenceMs?: number | undefined;
  /** How often in a row a stream is taken up without anything new. */
  readonly reconnectsMax?: number | undefined;
  /** What `chat` does while the breaker of its tier is open. */
  readonly fallback?: ChatFallback | undefined;
  /** Answers that are kept for `fallback: 'cache'`. */
  readonly cacheEntriesMax?: number | undefined;
  readonly breaker?: BreakerSettings | undefined;
  readonly onBreakerChange?: ((change: BreakerChange) => void) | undefined;
}

/** A job, or its id alone. */
export type JobRef = string | { readonly id: string };
export type FileRef = string | { readonly id: string; readonly bytes: number };
export type BatchRef = string | { readonly id: string };

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
}

export interface SubmitOptions extends CallOptions {
  /** For the same job also after this process has gone; otherwise each `submit` has one of its own. */
  readonly idempotencyKey?: string | undefined;
}

export interface StreamOptions extends CallOptions {
  /** The `seq` of the last event that is known already. */
  readonly after?: number | undefined;
  /** Of `token`, for who has no key; or what gives one, asked before each connection. */
  readonly token?: string | null | (() => string | null | Promise<string | null>) | undefined;
}

export interface ChatOptions extends CallOptions {
  /** Instead of the client's own. */
  readonly fallback?: ChatFallback | undefined;
}

export interface FileListOptions extends CallOptions {
  readonly purpose?: FilePurpose | undefined;
  readonly limit?: number | undefined;
  readonly order?: 'asc' | 'desc' | undefined;
  /** `last_id` of the page before. */
  readonly after?: string | undefined;
}

export interface ContentOptions extends CallOptions {
  /** The number of bytes that are there already. */
  readonly start?: number | undefined;
}

export interface BatchListOptions extends CallOptions {
  readonly limit?: number | undefined;
  /** `last_id` of the page before. */
  readonly after?: string | undefined;
}

export interface BatchResultsOptions extends CallOptions {
  readonly limit?: number | undefined;
  /** `next_cursor` of the page before. */
  readonly after?: string | undefined;
}
