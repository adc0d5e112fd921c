/** A job may fail only by what the faults explain. */
import type { ErrorCode } from '@qarr/router-core';
import { violation } from './evidence.ts';
import type { Check, JobEvidence } from './evidence.ts';

const EXPLAINED: ReadonlySet<ErrorCode> = new Set([
  'poison',
  'upstream_error',
  'upstream_interrupted',
  'upstream_timeout',
  'worker_lost',
  'run_timeout',
]);

export const checkFailures: Check = ({ jobs, gentle }) =>
  [...jobs.values()].flatMap((job) => {
    const code = failureOf(job);
    if (code === null) return [];
    if (gentle) return [violation('I1', job, `failed by ${code}, and nothing explains it`)];
    if (!EXPLAINED.has(code)) return [violation('I1', job, `failed by ${code}`)];
    if (code === 'worker_lost' && mayGoOn(job)) {
      return [violation('I1', job, 'was given up with its worker, though it may go on')];
    }
    return [];
  });

/** Its code, of a job that has failed. */
export function failureOf({ events }: JobEvidence): ErrorCode | null {
  const last = events.at(-1);
  return last?.type === 'failed' ? last.error.code : null;
}

function mayGoOn({ record, request }: JobEvidence): boolean {
  if (record?.['on_interrupt'] === 'restart') return true;
  return record?.['on_interrupt'] === 'continue' && (request?.n ?? 1) === 1;
}
