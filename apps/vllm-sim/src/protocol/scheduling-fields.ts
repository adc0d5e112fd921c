import type { Persona } from '../personas.ts';
import type { FieldReader } from './fields.ts';
import { badValue, type RequestError } from './request-error.ts';

/** What a request says about its place in the queue and in the prefix cache. */
export type SchedulingFields = {
  /** Lower is earlier. */
  readonly priority: number;
  /** Prompts share cached prefixes only with prompts of the same salt. */
  readonly cacheSalt?: string;
};

export function readSchedulingFields(reader: FieldReader): SchedulingFields {
  const cacheSalt = reader.string('cache_salt');
  return {
    priority: reader.integer('priority') ?? 0,
    ...(cacheSalt === undefined ? {} : { cacheSalt }),
  };
}

/**
 * The priority of the header X-Vllm-Priority, if it counts; it overrides the body's. What vLLM says
 * of a header that is no whole number is not verified.
 */
export function headerPriority(header: unknown, persona: Persona): number | undefined {
  if (!persona.priority.fromHeader || typeof header !== 'string') return undefined;
  if (/^\s*[+-]?\d+\s*$/.test(header)) return Number(header);
  throw badValue({ message: 'X-Vllm-Priority must be an integer.', param: 'priority' });
}

/** The refusal of a priority by an engine that does not schedule by it: a ValueError of vLLM's V0. */
export function priorityRefusal(
  priority: number,
  server: { persona: Persona; schedulingPolicy: 'fcfs' | 'priority' },
): RequestError | undefined {
  const refused =
    priority !== 0 &&
    server.schedulingPolicy === 'fcfs' &&
    server.persona.priority.withoutPolicy === 'refused';
  if (!refused) return undefined;
  return badValue({ message: `Got priority ${priority} but Priority scheduling is not enabled.` });
}
