/** What can be asked. Fields and their limits are those of the API, which checks them. */
import type { BatchEndpoint, FilePurpose } from './batch-answers.ts';

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

/** `messages`, or `prompt` with or without `system_prompt`. */
type Conversation =
  | { messages: Message[]; prompt?: undefined; system_prompt?: undefined }
  | { prompt: string; system_prompt?: string | undefined; messages?: undefined };

interface Generation {
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

/** A conversation, and how it is run. */
export type ChatRequest = Conversation & Generation & Run;

interface Run {
  /** Who is served first: `interactive` for a chat, `standard` for a job, if it is not said. */
  class?: JobClass | undefined;
  /** To which other tiers it may go. */
  fallback?: Fallback | undefined;
  on_interrupt?: 'continue' | 'fail' | 'restart' | undefined;
  /** How long it may wait to be started. */
  queue_timeout_ms?: number | undefined;
  /** How long it may run. */
  run_timeout_ms?: number | undefined;
  /** Up to 16 pairs, returned with the job. */
  metadata?: Record<string, string> | undefined;
}

export type JobRequest = ChatRequest & {
  webhook_url?: string | undefined;
  webhook_events?: ('completed' | 'failed' | 'cancelled' | 'expired')[] | undefined;
};

/** Where would it go? Of how it is run only what admission looks at. */
export type RouteRequest = Conversation &
  Generation & {
    class?: JobClass | undefined;
    fallback?: Fallback | undefined;
    queue_timeout_ms?: number | undefined;
  };

/** How long a file is kept, from its creation. */
interface Expiry {
  anchor: 'created_at';
  seconds: number;
}

export interface FileUpload {
  file: Blob;
  /** `batch`, if it is not said. */
  purpose?: Exclude<FilePurpose, 'batch_output'> | undefined;
  /** Instead of the file's own. */
  filename?: string | undefined;
  expires_after?: Expiry | undefined;
}

/** A line of a batch. */
export interface BatchLine {
  custom_id: string;
  method?: 'POST' | undefined;
  url?: BatchEndpoint | undefined;
  body: Record<string, unknown>;
}

/** `input_file_id`, or the lines themselves. */
export type BatchRequest = (
  | { input_file_id: string; requests?: undefined }
  | { requests: BatchLine[]; input_file_id?: undefined }
) & {
  endpoint: BatchEndpoint;
  /** Such as `24h`. */
  completion_window?: string | undefined;
  /** Up to 16 pairs, returned with the batch. */
  metadata?: Record<string, string> | undefined;
  output_expires_after?: Expiry | undefined;
  webhook_url?: string | undefined;
};
