/** What a job's stream yields. Shapes are those of the API. */
import type { ErrorCode } from './errors.ts';

export type FinishReason = 'stop' | 'length' | 'tool_calls' | 'content_filter';

/** Tokens, as the engine counted them. */
export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
}

/** Milliseconds; `ttft_ms` from the start of the last attempt to its first text. */
export interface Timings {
  queue_wait_ms: number;
  ttft_ms: number | null;
  run_ms: number;
}

/** Why a job failed. */
export interface JobError {
  code: ErrorCode;
  message: string;
  /** Whether the same request may succeed when it is sent again. */
  retryable: boolean;
}

/** Pieces with the same `index` join, their `arguments` one after another. */
export interface ToolCallPiece {
  index: number;
  id?: string | undefined;
  type?: 'function' | undefined;
  function?: { name?: string | undefined; arguments?: string | undefined } | undefined;
}

interface TokenLogprob {
  token: string;
  logprob: number;
  bytes?: number[] | null | undefined;
}

/** One entry per token. */
export interface Logprobs {
  content: (TokenLogprob & { top_logprobs: TokenLogprob[] })[];
}

export interface QueuedEvent {
  type: 'queued';
  tier: string;
  route: string[];
  position: number;
  estimated_wait_ms: number | null;
}

/** Another tier has it from here on. */
export interface ReroutedEvent {
  type: 'rerouted';
  from: string;
  to: string;
  reason: string;
}

export interface StartedEvent {
  type: 'started';
  tier: string;
  worker: string;
  attempt: number;
}

/** More of the answer; `index` names the choice and is absent for the first one. */
export interface DeltaEvent {
  type: 'delta';
  text: string;
  index?: number | undefined;
  reasoning?: string | undefined;
  tool_calls?: ToolCallPiece[] | undefined;
  logprobs?: Logprobs | undefined;
}

/** The text so far is void: another attempt begins. Only for `on_interrupt: 'restart'`. */
export interface ResetEvent {
  type: 'reset';
  attempt: number;
}

export interface CompletedEvent {
  type: 'completed';
  finish_reason: FinishReason;
  /** Of every choice; only where there is more than one. */
  finish_reasons?: FinishReason[] | undefined;
  usage: Usage | null;
  timings: Timings;
  /** How often the answer was taken up where another attempt had left it. */
  continued?: number | undefined;
  /** It was the API's answer to the same request before. */
  cached?: true | undefined;
}

export interface FailedEvent {
  type: 'failed';
  error: JobError;
  usage: Usage | null;
  timings: Timings | null;
}

export interface CancelledEvent {
  type: 'cancelled';
  ran: boolean;
  tokens: number | null;
  usage: Usage | null;
  timings: Timings | null;
}

/** It waited too long to be started; no engine has seen it. */
export interface ExpiredEvent {
  type: 'expired';
  error: JobError;
  usage: null;
  timings: null;
}

/** Exactly one of them ends a job, and is its last event. */
export type TerminalEvent = CompletedEvent | FailedEvent | CancelledEvent | ExpiredEvent;

/** What lies in a job's log. */
export type JobEvent =
  | QueuedEvent
  | ReroutedEvent
  | StartedEvent
  | DeltaEvent
  | ResetEvent
  | TerminalEvent;

/** Where a job stands that waits. In no log: it has no number and is not sent again. */
export interface PositionEvent {
  type: 'position';
  position: number;
  estimated_wait_ms: number | null;
}

/** `seq` counts a job's events from 1 without a gap: whoever keeps it can go on after it. */
export type StreamEvent = (JobEvent & { seq: number }) | PositionEvent;

export function isTerminal(event: StreamEvent): event is TerminalEvent & { seq: number } {
  return TERMINAL_TYPES.has(event.type);
}

const TERMINAL_TYPES: ReadonlySet<string> = /* #__PURE__ */ new Set([
  'completed',
  'failed',
  'cancelled',
  'expired',
]);

/** Of an event that has a number. Others are of a newer API, and are passed over. */
export const LOGGED_TYPES: ReadonlySet<string> = /* #__PURE__ */ new Set([
  'queued',
  'rerouted',
  'started',
  'delta',
  'reset',
  'completed',
  'failed',
  'cancelled',
  'expired',
]);
