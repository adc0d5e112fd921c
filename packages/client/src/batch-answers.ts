/** What the API answers of files and batches. Times are seconds since the epoch. */

export type FilePurpose =
  | 'assistants'
  | 'batch'
  | 'batch_output'
  | 'evals'
  | 'fine-tune'
  | 'user_data'
  | 'vision';

export interface StoredFile {
  id: string;
  object: 'file';
  bytes: number;
  created_at: number;
  expires_at: number;
  filename: string;
  purpose: FilePurpose;
  status: 'processed';
  status_details: null;
}

export interface FileList {
  object: 'list';
  data: StoredFile[];
  first_id: string | null;
  last_id: string | null;
  has_more: boolean;
}

export interface DeletedFile {
  id: string;
  object: 'file';
  deleted: true;
}

export type BatchStatus =
  | 'validating'
  | 'in_progress'
  | 'cancelling'
  | 'finalizing'
  | 'completed'
  | 'failed'
  | 'expired'
  | 'cancelled';

/** From these nothing leads on. */
const OVER: ReadonlySet<BatchStatus> = /* #__PURE__ */ new Set([
  'completed',
  'failed',
  'expired',
  'cancelled',
] as const);

/** Whether nothing about it will change any more. */
export function isBatchOver({ status }: { status: BatchStatus }): boolean {
  return OVER.has(status);
}

export type BatchEndpoint = '/v1/chat/completions' | '/v1/completions' | '/v1/responses';

/** What is wrong with an input file; `line` counts from 1, null where it is the file as a whole. */
export interface BatchError {
  code: string;
  message: string;
  param: string | null;
  line: number | null;
}

export interface BatchUsage {
  input_tokens: number;
  input_tokens_details: { cached_tokens: number };
  output_tokens: number;
  output_tokens_details: { reasoning_tokens: number };
  total_tokens: number;
}

export interface Batch {
  id: string;
  object: 'batch';
  endpoint: string;
  /** The one that all its lines name, if they do. */
  model: string | null;
  errors: { object: 'list'; data: BatchError[] } | null;
  input_file_id: string;
  completion_window: string;
  status: BatchStatus;
  /** Null while there is none, and where no line was answered. */
  output_file_id: string | null;
  /** Null while there is none, and where no line has failed. */
  error_file_id: string | null;
  created_at: number;
  in_progress_at: number | null;
  expires_at: number;
  finalizing_at: number | null;
  completed_at: number | null;
  failed_at: number | null;
  expired_at: number | null;
  cancelling_at: number | null;
  cancelled_at: number | null;
  /** Of the lines; `total` is known once the file has been read. */
  request_counts: { total: number; completed: number; failed: number };
  usage: BatchUsage | null;
  metadata: Record<string, string> | null;
}

export interface BatchList {
  object: 'list';
  data: Batch[];
  first_id: string | null;
  last_id: string | null;
  has_more: boolean;
}

/** What became of a line: as it stands in the output file or the error file. */
export interface BatchOutcome {
  id: string;
  custom_id: string;
  /** Of HTTP; null for a line that was not run to its end: `error` then says why. */
  response: { status_code: number; request_id: string; body: Record<string, unknown> } | null;
  error: { code: string; message: string } | null;
  /** The tier that had it; null where none ever did. */
  qarr_tier: string | null;
}

/** Some outcomes, in the order in which they became durable. */
export interface BatchResults {
  object: 'list';
  data: BatchOutcome[];
  has_more: boolean;
  /** For `after`: goes on behind these, now or later. */
  next_cursor: string;
  /** Of the batch. Once it is over and `has_more` is false, nothing follows. */
  status: BatchStatus;
}
