/** What the API answers. Times are seconds since the epoch, durations milliseconds. */
import type { FinishReason, JobError, Logprobs, Timings, Usage } from './events.ts';
import type { Fallback, ToolCall } from './requests.ts';

export type JobStatus = 'queued' | 'running' | 'completed' | 'failed' | 'cancelled' | 'expired';

interface JobUrls {
  self: string;
  events: string;
  cancel: string;
}

/** A job that was accepted, or was there already. */
export interface AcceptedJob {
  id: string;
  object: 'job';
  status: JobStatus;
  tier: string;
  /** Why that tier. */
  route: string[];
  /** Where it was routed to, if another tier has it. */
  rerouted: { from: string; reason: string } | null;
  /** While it waits; 1 is next. */
  position: number | null;
  estimated_wait_ms: number | null;
  /** Left out of a conversation that was too long, with `truncation: 'auto'`. */
  dropped_messages: number;
  urls: JobUrls;
}

export interface Choice {
  text: string;
  reasoning?: string | undefined;
  tool_calls?: ToolCall[] | undefined;
  logprobs?: Logprobs | undefined;
  finish_reason: FinishReason;
}

/** The fields of the first choice; `choices` holds all where there is more than one. */
export interface JobResult extends Choice {
  choices?: Choice[] | undefined;
  continued?: number | undefined;
  cached?: true | undefined;
}

export interface Job extends AcceptedJob {
  /** The tier that was asked for; null where the router chose. */
  requested_tier: string | null;
  class: string;
  /** The line of a batch that it runs. */
  batch: { id: string; custom_id: string } | null;
  fallback: Fallback;
  attempt: number;
  created_at: number;
  started_at: number | null;
  finished_at: number | null;
  metadata: Record<string, string>;
  result: JobResult | null;
  usage: Usage | null;
  timings: Timings | null;
  error: JobError | null;
}

export interface ChatChoice {
  index: number;
  message: {
    role: 'assistant';
    content: string | null;
    reasoning?: string | undefined;
    tool_calls?: ToolCall[] | undefined;
  };
  logprobs: Logprobs | null;
  finish_reason: FinishReason;
}

/** A whole answer in the foreground, in OpenAI's form. */
export interface ChatAnswer {
  id: string;
  /** Seconds since the epoch. */
  created: number;
  /** The tier that served it. */
  model: string;
  choices: ChatChoice[];
  usage: Usage | null;
  /** Whether it is the answer to an earlier request: this client's, or the API's (`x-qarr-cache`). */
  cached: boolean;
  /** How it came. */
  via: 'foreground' | 'queue' | 'cache';
}

export interface Cancellation {
  id: string;
  object: 'job.cancellation';
  /** `running`: its worker was told and has not answered yet. */
  status: JobStatus;
  ran: boolean;
  tokens: number | null;
}

export interface JobToken {
  object: 'job.token';
  /** Null where no keys are configured, and none is needed. */
  token: string | null;
  expires_at: number | null;
  /** Where the events are, with the token: for an `EventSource`. */
  url: string;
}

export interface Route {
  tier: string;
  reasons: string[];
  features: {
    words: number;
    code: boolean;
    max_tokens: number;
    temperature: number;
    prompt_tokens: number;
  };
  fits: Record<string, boolean>;
  alternatives: string[];
  dropped_messages: number;
  /** What would become of it now. */
  admission: {
    kind: 'enqueue' | 'spill' | 'refuse';
    tier: string;
    reason: string;
    estimated_wait_ms: number | null;
    retry_after_ms: number | null;
  };
}

interface ByClass<Value> {
  interactive: Value;
  standard: Value;
  batch: Value;
}

export type BreakerState = 'closed' | 'half_open' | 'open';

export interface Tier {
  name: string;
  precision: string;
  max_model_len: number;
  /** Jobs that wait. */
  depth: number;
  depth_by_class: ByClass<number>;
  running: number;
  slots: number;
  /** The queue-depth alert. */
  alert: boolean;
  breaker: BreakerState;
  estimated_wait_ms: number | null;
  estimated_wait_ms_by_class: ByClass<number | null>;
  fallback_jobs: number;
  tokens_per_s: number | null;
  workers: TierWorker[];
}

export interface TierWorker {
  id: string;
  /** Together with `pid` and `upstream`: where no keys are configured, or for a key with the scope `admin`. */
  host?: string | undefined;
  pid?: number | undefined;
  slots: number;
  running: number;
  breaker: BreakerState;
  retry_in_ms?: number | null | undefined;
  upstream?: string | undefined;
  model: string;
  max_model_len: number | null;
  service_ms: number | null;
  tokens_per_s?: number | null | undefined;
  output_tokens?: number | null | undefined;
  upstreams?: TierEngine[] | undefined;
}

/** An engine, as its worker sees it. Null: the engine does not tell. */
export interface TierEngine {
  url: string;
  state: 'starting' | 'warming' | 'ready' | 'suspect' | 'gone';
  running: number;
  slots: number;
  waiting: number | null;
  kv_usage: number | null;
  preemptions: number | null;
  model: string | null;
  max_model_len: number | null;
  version: string | null;
  breaker?: BreakerState | undefined;
  retry_in_ms?: number | null | undefined;
}

export interface Tiers {
  tiers: Tier[];
}
