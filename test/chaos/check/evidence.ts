/** The history and Redis's final state, ordered by op and by job: what the checks look at. */
import { isTerminalType, jobEventSchema } from '@qarr/router-core';
import { isRaw } from '@qarr/router-core';
import type { EngineRequest, JobEvent, JobState } from '@qarr/router-core';
import type {
  CancelEntry,
  ChatEntry,
  DeleteEntry,
  Entry,
  LookupEntry,
  OpEntry,
  ReadEntry,
  SubmitEntry,
} from '../history.ts';
import { markerOf } from '../load/plan.ts';
import type { Dump, DumpedJob } from './dump.ts';

type At = { readonly atMs: number };

export interface OpEvidence {
  readonly op: OpEntry;
  readonly submits: (SubmitEntry & At)[];
  /** The jobs in Redis that bear its marker. */
  readonly jobIds: string[];
}

export interface JobEvidence extends DumpedJob {
  readonly id: string;
  /** In the prompt of its record; null where there is none. */
  readonly marker: string | null;
  readonly op: OpEntry | null;
  /** Null for what is no event. */
  readonly events: readonly (JobEvent | null)[];
  readonly state: JobState | null;
  readonly request: EngineRequest | null;
  readonly isAcknowledged: boolean;
  /** In the order in which they ended, by reader. */
  readonly readers: Map<string, (ReadEntry & At)[]>;
  /** Readers that waited in vain. */
  readonly starved: string[];
  readonly chats: (ChatEntry & At)[];
  readonly cancels: (CancelEntry & At)[];
  readonly deletes: (DeleteEntry & At)[];
  readonly lookups: (LookupEntry & At)[];
}

/** A whole answer of an engine that nobody disturbed. */
export interface UndisturbedAnswer {
  readonly texts: readonly string[];
  readonly finishReasons: readonly string[];
  readonly promptTokens: number;
  readonly completionTokens: number;
}

/** What is known beside the history and Redis. */
export interface Surroundings {
  /** Of the jobs that were compared; null where the engine refuses the request. */
  readonly undisturbed: ReadonlyMap<string, UndisturbedAnswer | null>;
  /** Requests that each engine still works on in the end; null where it does not say. */
  readonly engines: readonly { readonly name: string; readonly running: number | null }[];
  /** Whether every worker used its engines again. */
  readonly isReady: boolean;
  /** Nothing that was done explains a failure. */
  readonly gentle: boolean;
}

export interface Evidence extends Surroundings {
  readonly entries: readonly Entry[];
  readonly dump: Dump;
  readonly ops: ReadonlyMap<string, OpEvidence>;
  readonly jobs: ReadonlyMap<string, JobEvidence>;
}

export interface Violation {
  /** Of `docs/chaos.md`: I1 to I20, L1 and L4. */
  readonly invariant: string;
  readonly jobId: string | null;
  readonly message: string;
}

export type Check = (evidence: Evidence) => Violation[];

export function gatherEvidence(
  entries: readonly Entry[],
  dump: Dump,
  surroundings: Surroundings,
): Evidence {
  const ops = new Map<string, OpEvidence>();
  const jobs = new Map<string, JobEvidence>();
  for (const entry of entries) {
    if (entry.t === 'op') ops.set(entry.op, { op: entry, submits: [], jobIds: [] });
  }

  const acknowledged = new Set(
    entries.flatMap((entry) =>
      entry.t === 'submit' && entry.outcome === 'acknowledged' ? (entry.jobId ?? []) : [],
    ),
  );
  function jobOf(id: string): JobEvidence {
    const job = jobs.get(id) ?? newJob(id, dump.jobs.get(id), { ops, acknowledged });
    jobs.set(id, job);
    return job;
  }

  for (const id of [...dump.jobs.keys(), ...acknowledged]) {
    const { marker } = jobOf(id);
    const jobIds = ops.get(marker ?? '')?.jobIds;
    if (jobIds?.includes(id) === false) jobIds.push(id);
  }
  for (const entry of entries) {
    switch (entry.t) {
      case 'submit':
        ops.get(entry.op)?.submits.push(entry);
        break;
      case 'read': {
        const { readers } = jobOf(entry.jobId);
        readers.set(entry.reader, [...(readers.get(entry.reader) ?? []), entry]);
        break;
      }
      case 'starved':
        jobOf(entry.jobId).starved.push(entry.reader);
        break;
      case 'chat':
        jobOf(entry.jobId).chats.push(entry);
        break;
      case 'cancel':
        jobOf(entry.jobId).cancels.push(entry);
        break;
      case 'delete':
        jobOf(entry.jobId).deletes.push(entry);
        break;
      case 'lookup':
        jobOf(entry.jobId).lookups.push(entry);
        break;
      case 'op':
      case 'list':
      case 'fault':
      case 'process':
      case 'phase':
        break;
      default:
        entry satisfies never;
    }
  }
  return { entries, dump, ops, jobs, ...surroundings };
}

const NOTHING: DumpedJob = { record: null, log: null, recordTtlMs: -1, logTtlMs: -1 };

function newJob(
  id: string,
  dumped: DumpedJob = NOTHING,
  { ops, acknowledged }: { ops: Map<string, OpEvidence>; acknowledged: ReadonlySet<string> },
): JobEvidence {
  const request = requestOf(dumped);
  const marker = request === null ? null : markerOf(lastWords(request));
  return {
    ...dumped,
    id,
    marker,
    op: ops.get(marker ?? '')?.op ?? null,
    events: (dumped.log ?? []).map(({ json }) => readEvent(json)),
    state: (dumped.record?.['state'] ?? null) as JobState | null,
    request,
    isAcknowledged: acknowledged.has(id),
    readers: new Map(),
    starved: [],
    chats: [],
    cancels: [],
    deletes: [],
    lookups: [],
  };
}

function requestOf({ record }: DumpedJob): EngineRequest | null {
  const json = record?.['request'];
  return json === undefined ? null : (JSON.parse(json) as EngineRequest);
}

function lastWords(request: EngineRequest): string {
  return isRaw(request) ? request.prompt : (request.messages.at(-1)?.content ?? '');
}

function readEvent(json: string): JobEvent | null {
  try {
    return jobEventSchema.parse(JSON.parse(json));
  } catch {
    return null;
  }
}

export function violation(invariant: string, job: JobEvidence | null, message: string): Violation {
  return { invariant, jobId: job?.id ?? null, message };
}

/** Whether its client has had it deleted: then nothing of it may be left. */
export function isDeleted({ deletes }: JobEvidence): boolean {
  return deletes.some(({ status }, index) => {
    if (status === null) return false;
    if (status < 300) return true;
    // An earlier one may have done it, whose answer was lost.
    return status === 404 && deletes.slice(0, index).some((before) => isUnknown(before.status));
  });
}

/** Whether a request to delete it may have been carried out. */
export function mayBeDeleted(job: JobEvidence): boolean {
  return isDeleted(job) || job.deletes.some(({ status }) => isUnknown(status));
}

function isUnknown(status: number | null): boolean {
  return status === null || status >= 500;
}

/** What was published of each choice since the last reset. */
export function publishedTexts(events: JobEvidence['events']): string[] {
  const texts: string[] = [];
  const from = events.findLastIndex((event) => event?.type === 'reset') + 1;
  for (const event of events.slice(from)) {
    if (event?.type !== 'delta') continue;
    const index = event.index ?? 0;
    texts[index] = (texts[index] ?? '') + event.text;
  }
  return Array.from(texts, (text) => text ?? '');
}

export function isTerminal(state: string | null): boolean {
  return state !== null && isTerminalType(state);
}

/** Texts are long; where they part is to be found by their ends. */
export function brief(text: string): string {
  const json = JSON.stringify(text);
  return json.length <= 120 ? json : `${json.slice(0, 60)} … ${json.slice(-60)}`;
}
