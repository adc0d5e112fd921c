/** What can be asked. Fields and their limits are those of the API, which checks them. */

export type Role = 'system' | 'developer' | 'user' | 'assistant' | 'tool';

/** A whole tool call, in OpenAI's form. */
export interface ToolCall {
  id: string;
  type: 'function';
  function: { name: string; arguments: string };
}

export interface Message {
  role: Role;
  content?: string | { type: 'text'; text: string }[] | null | undefined;
  name?: string | null | undefined;
  /** Of an assistant: what it has called. */
  tool_calls?: ToolCall[] | null | undefined;
  /** Of a tool: the call that it answers. */
  tool_call_id?: string | null | undefined;
}

export interface Tool {
  type: 'function';
  function: {
    name: string;
    description?: string | undefined;
    /** A JSON schema. */
    parameters?: Record<string, unknown> | undefined;
    strict?: boolean | undefined;
  };
}

export type ToolChoice =
  | 'none'
  | 'auto'
  | 'required'
  | { type: 'function'; function: { name: string } };

export type ResponseFormat =
  | { type: 'text' }
  | { type: 'json_object' }
  | {
      type: 'json_schema';
      json_schema: {
        name: string;
        description?: string | undefined;
        schema: Record<string, unknown>;
        strict?: boolean | undefined;
      };
    };

/** A conversation: `messages`, or `prompt` with or without `system_prompt`. */
export interface ChatRequest {
  messages?: Message[] | undefined;
  prompt?: string | undefined;
  system_prompt?: string | undefined;
  /** `auto`, a tier's name (which pins) or a served model's id (which means `auto`). */
  model?: string | undefined;
  /** Pins to a tier. */
  tier?: string | undefined;
  max_tokens?: number | undefined;
  max_completion_tokens?: number | undefined;
  temperature?: number | undefined;
  top_p?: number | undefined;
  top_k?: number | undefined;
  min_p?: number | undefined;
  presence_penalty?: number | undefined;
  frequency_penalty?: number | undefined;
  repetition_penalty?: number | undefined;
  seed?: number | undefined;
  stop?: string | string[] | undefined;
  min_tokens?: number | undefined;
  ignore_eos?: boolean | undefined;
  n?: number | undefined;
  logprobs?: boolean | undefined;
  top_logprobs?: number | undefined;
  tools?: Tool[] | undefined;
  tool_choice?: ToolChoice | undefined;
  parallel_tool_calls?: boolean | undefined;
  response_format?: ResponseFormat | undefined;
  /** `auto`: leave out the oldest turns of a conversation that is too long. */
  truncation?: 'auto' | 'disabled' | undefined;
}

export type JobClass = 'interactive' | 'standard' | 'batch';
export type Fallback = 'none' | 'up' | 'down' | 'any';

export interface JobRequest extends ChatRequest {
  /** Who is served first; `standard` if it is not said. */
  class?: JobClass | undefined;
  /** To which other tiers it may go. */
  fallback?: Fallback | undefined;
  on_interrupt?: 'continue' | 'fail' | 'restart' | undefined;
  /** How long it may wait to be started. */
  queue_timeout_ms?: number | undefined;
  /** How long it may run. */
  run_timeout_ms?: number | undefined;
  webhook_url?: string | undefined;
  webhook_events?: ('completed' | 'failed' | 'cancelled' | 'expired')[] | undefined;
  /** Up to 16 pairs, returned with the job. */
  metadata?: Record<string, string> | undefined;
}

/** Where would it go? Of a job only what routing and admission look at. */
export interface RouteRequest extends ChatRequest {
  class?: JobClass | undefined;
  fallback?: Fallback | undefined;
  queue_timeout_ms?: number | undefined;
}
