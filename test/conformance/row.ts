/**
 * A row is a behaviour: a request, what the engine does wrong, and what must become of the job.
 *
 * What is expected is decided here, row by row: from the protocols of the engines and from the
 * table of error classes in `docs/conformance.md`, never from the code under test.
 */
import type {
  ChatEngineRequest,
  EngineRequest,
  ErrorCode,
  OnInterrupt,
  RawEngineRequest,
} from '@qarr/router-core';
import type { Persona } from './persona.ts';
import type { Fault, SeenRequest } from './world/engine.ts';
import type { Outcome } from './world/jobs.ts';
import type { Reference } from './world/reference.ts';
import type { World } from './world/world.ts';

const SECTIONS = [
  'answers',
  'raw prompts',
  'refusals and failures before an answer',
  'answers that break',
  'answers in strange clothes',
  'interruptions',
  'engines that fail as a whole',
] as const;
export type Section = (typeof SECTIONS)[number];

export interface Expected {
  readonly end: 'completed' | 'cancelled' | ErrorCode;
  /** `started` events of the job. */
  readonly attempts: number | Range;
  /** Requests for tokens that the engines got for it. */
  readonly requests: number | Range;
  /** Attempts that counted as tries, and those that were spared. 0 where they are not named. */
  readonly failures?: number | Range;
  readonly spared?: number | Range;
  readonly resets?: number;
  readonly continued?: number | Range;
  /**
   * What was published, against the undisturbed answer: `whole`, byte by byte; a `beginning` of it;
   * `nothing`.
   */
  readonly text: 'whole' | 'beginning' | 'nothing';
}

/** From the first to the last of these. */
export type Range = readonly [number, number];

/** What a row's own check looks at. */
export interface Seen {
  readonly persona: Persona | null;
  readonly request: EngineRequest;
  readonly outcome: Outcome;
  readonly requests: readonly SeenRequest[];
  readonly reference: Reference | null;
}

interface RowBase {
  readonly section: Section;
  readonly name: string;
  /** It waits for a timeout: it runs beside others that do. */
  readonly isSlow?: true;
}

/** One job, some of whose attempts have a fault; it runs beside others. */
export interface JobRow extends RowBase {
  readonly kind: 'job';
  readonly request?: Partial<ChatEngineRequest>;
  /** Instead of a conversation: a text that the engine goes on with. */
  readonly raw?: Partial<RawEngineRequest>;
  readonly onInterrupt?: OnInterrupt;
  /** The fault of the first attempt, of the second, and so on. */
  readonly faults?: readonly Fault[];
  readonly expected: (persona: Persona) => Expected | 'not applicable';
  /** What else must hold, as a list of what does not. */
  readonly check?: (seen: Seen) => readonly string[];
  /** What the undisturbed answer must be like: the prompt is varied until it is so. */
  readonly wants?: (reference: Reference) => boolean;
  /** It can be asked of any engine, not only of a simulator. */
  readonly isForAll?: true;
  /** An engine may refuse it for what it is. */
  readonly isOptional?: true;
}

/** Something that happens to an engine as a whole: nothing else runs meanwhile. */
export interface LifeRow extends RowBase {
  readonly kind: 'life';
  /** The faults that it brings about. */
  readonly faults: readonly Fault['name'][];
  readonly play: (world: World) => Promise<readonly string[] | 'not applicable'>;
}

export type Row = JobRow | LifeRow;

/** Completed by the first attempt. */
export const AT_ONCE: Expected = { end: 'completed', attempts: 1, requests: 1, text: 'whole' };

/** Completed by a second attempt from the beginning, and nobody noticed; it burnt a try. */
export const AGAIN: Expected = { ...AT_ONCE, attempts: 2, requests: 2, failures: 1 };

/** The same, but no engine had taken the request: the attempt is spared. */
export const SPARED: Expected = { ...AT_ONCE, attempts: 2, requests: 2, spared: 1 };

/** The same, but the engine was only busy: nothing is burnt. */
export const FREE: Expected = { ...AT_ONCE, attempts: 2, requests: 2 };

/** Failed by the first attempt, and not tried again. */
export function refused(code: ErrorCode): Expected {
  return { end: code, attempts: 1, requests: 1, text: 'nothing' };
}

/** Carried on where the first attempt stopped; where no engine can do that, the job says so. */
export function carriedOn({ continues }: Persona): Expected {
  if (continues !== 'never') return { ...AGAIN, continued: 1 };
  return { ...INTERRUPTED, attempts: 2, failures: 1 };
}

/** Failed after text, and not tried again. */
export const INTERRUPTED: Expected = {
  end: 'upstream_interrupted',
  attempts: 1,
  requests: 1,
  text: 'beginning',
};
