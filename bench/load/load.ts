/** What a load is asked for, and what it tells: the messages between the bench and its load client. */

export type Arrivals =
  /** So many at a time, each followed at once by the next. */
  | { readonly kind: 'closed'; readonly concurrency: number }
  /** A Poisson process: each is due at its own time, whatever became of those before. */
  | { readonly kind: 'open'; readonly perS: number; readonly seed: number };

/** What is sent for one answer. */
type Exchanging =
  /** A streamed chat. */
  | { readonly kind: 'chat' }
  /** A job is submitted, and its events are followed so much later. */
  | { readonly kind: 'job'; readonly followAfterMs: number };

export interface LoadOptions {
  /** Taken in turn: of `/v1/chat/completions`, for jobs of `/v1/jobs`. */
  readonly urls: readonly string[];
  readonly headers: Readonly<Record<string, string>>;
  readonly model: string;
  readonly arrivals: Arrivals;
  readonly exchanging?: Exchanging;
  /** Of each answer. */
  readonly tokens: number;
  /** Filled up to this with words. */
  readonly promptBytes: number;
  /** No request begins after this; those that have begun are waited for. */
  readonly forMs: number;
  /** Answers that begin before this are checked, but not sampled. */
  readonly warmUpMs?: number;
  /** No more requests than this. */
  readonly requestsMax?: number;
  /** What has not ended so long after its begin is an error. */
  readonly answerTimeoutMs?: number;
}

/**
 * Samples are of answers that began after the warm-up, counts of all. All numbers are raw: percentiles are
 * made elsewhere. A load with any error has no numbers that count.
 */
export interface LoadResult {
  /** Answers that were complete, byte by byte. */
  readonly whole: number;
  /** By what was wrong. */
  readonly errors: Readonly<Record<string, number>>;
  /** Of the first error, to see what it was about. */
  readonly firstError: string | null;
  /** From the request written (in an open loop, from when it was due) to the first text. */
  readonly ttftMs: Float64Array;
  /** From there to the end of the answer. */
  readonly answerMs: Float64Array;
  /** Between two tokens of an answer, over all answers. */
  readonly gapsMs: Float64Array;
  readonly tokens: number;
  readonly bytes: number;
  /** Server-sent events that had text. */
  readonly chunks: number;
  /** From the first request to the end of the last answer. */
  readonly tookMs: number;
  /** What came between the warm-up and the end of `forMs`: while the load was full. */
  readonly full: { readonly ms: number; readonly tokens: number; readonly answers: number };
  /** Open loop: how late requests were written, because the client was busy. */
  readonly latenessMs: Float64Array;
  /** Of the client itself, to see that it was not what was measured. */
  readonly client: { readonly cpuMs: number; readonly eventLoopDelayP99Ms: number };
}

/** Streams that are open and say nothing, until they are closed. */
export interface IdleOptions {
  readonly urls: readonly string[];
  readonly headers: Readonly<Record<string, string>>;
  readonly streams: number;
  /** The body of a POST, in which `HOLD` keeps the engine silent; without one, a GET. */
  readonly body?: string;
}
