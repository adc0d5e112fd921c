/**
 * The history of a run: what every client sent and saw, and what was done to the system, in the
 * order in which the runner learnt of it. One JSON object per line; times are milliseconds since the
 * run began, by the runner's clock.
 *
 * The JSON of an event is kept as a digest: a reader has it byte for byte, or it has another one.
 */
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { once } from 'node:events';

/** Long enough that two different events never share one. */
const DIGEST_CHARS = 16;

export type Surface = 'job' | 'chat' | 'chat_stream';

/** What is asked for, before the first try. The marker of an op stands in its prompt. */
export interface OpEntry {
  readonly t: 'op';
  readonly op: string;
  readonly surface: Surface;
  readonly tier: string | null;
  /** Null where the client does not say. */
  readonly fallback: 'none' | 'up' | 'down' | 'any' | null;
  readonly key: string | null;
  readonly onInterrupt: 'continue' | 'restart' | 'fail';
  readonly queueTimeoutMs: number | null;
  readonly runTimeoutMs: number | null;
}

/** One try of an op, from its first byte to what came of it. */
export interface SubmitEntry {
  readonly t: 'submit';
  readonly op: string;
  readonly api: string;
  readonly fromMs: number;
  readonly outcome: 'acknowledged' | 'refused' | 'unknown';
  readonly status: number | null;
  readonly code: string | null;
  readonly jobId: string | null;
  /** Another body under the key of the op, which must be refused. */
  readonly conflicting: boolean;
}

/** One connection of a reader. */
export interface ReadEntry {
  readonly t: 'read';
  readonly reader: string;
  readonly jobId: string;
  readonly api: string;
  readonly fromMs: number;
  readonly after: number;
  readonly events: readonly (readonly [seq: number, digest: string])[];
  /**
   * `over`: the terminal event has come, or nothing follows; `left`: the reader broke off; `cut`:
   * the connection ended, and the reader comes back; `refused`: with that status.
   */
  readonly end: 'over' | 'left' | 'cut' | 'refused';
  readonly status: number | null;
}

/** A reader that waited in vain until the end of the run. */
interface StarvedEntry {
  readonly t: 'starved';
  readonly reader: string;
  readonly jobId: string;
  readonly last: number;
}

export interface ChatEntry {
  readonly t: 'chat';
  readonly op: string;
  readonly jobId: string;
  readonly text: string;
  readonly end: 'done' | 'error' | 'cut' | 'left';
  readonly code: string | null;
}

export interface CancelEntry {
  readonly t: 'cancel';
  readonly jobId: string;
  readonly api: string;
  readonly fromMs: number;
  /** The status of the reply; null when none came. */
  readonly status: number | null;
  /** Of the receipt. */
  readonly jobState: string | null;
}

export interface DeleteEntry {
  readonly t: 'delete';
  readonly jobId: string;
  readonly api: string;
  readonly fromMs: number;
  readonly status: number | null;
}

/** The look-up of a job in the end. */
export interface LookupEntry {
  readonly t: 'lookup';
  readonly jobId: string;
  readonly api: string;
  readonly status: number;
  readonly jobState: string | null;
  readonly text: string | null;
}

/** All jobs, as a replica lists them in the end. */
interface ListEntry {
  readonly t: 'list';
  readonly api: string;
  readonly jobs: readonly (readonly [jobId: string, state: string])[];
}

interface FaultEntry {
  readonly t: 'fault';
  readonly fault: string;
  readonly target: string;
  readonly detail: string;
  readonly fromMs: number;
}

interface ProcessEntry {
  readonly t: 'process';
  readonly name: string;
  readonly event: 'started' | 'ended' | 'ended by itself';
  readonly code: number | string | null;
}

interface PhaseEntry {
  readonly t: 'phase';
  readonly phase: 'load' | 'quiet' | 'over';
}

export type EntryBody =
  | OpEntry
  | SubmitEntry
  | ReadEntry
  | StarvedEntry
  | ChatEntry
  | CancelEntry
  | DeleteEntry
  | LookupEntry
  | ListEntry
  | FaultEntry
  | ProcessEntry
  | PhaseEntry;

export type Entry = EntryBody & { readonly atMs: number };

export interface History {
  readonly entries: readonly Entry[];
  nowMs(): number;
  record(body: EntryBody): void;
  /** All of it is in the file. */
  close(): Promise<void>;
}

export function createHistory({ path }: { path: string | null }): History {
  const began = performance.now();
  const entries: Entry[] = [];
  const file = path === null ? null : createWriteStream(path);
  const nowMs = () => Math.round(performance.now() - began);
  return {
    entries,
    nowMs,
    record(body) {
      const entry = { atMs: nowMs(), ...body };
      entries.push(entry);
      file?.write(`${JSON.stringify(entry)}\n`);
    },
    async close() {
      if (file === null) return;
      file.end();
      await once(file, 'close');
    },
  };
}

export function digestOf(json: string): string {
  return createHash('sha256').update(json).digest('hex').slice(0, DIGEST_CHARS);
}
