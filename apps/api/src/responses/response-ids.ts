/**
 * A response is a job: both ids have the same digits, and so have the ids of its items. So whoever
 * names an item names its response.
 */
const JOB = 'job_';

export function responseIdOf(jobId: string): string {
  return `resp_${digitsOf(jobId)}`;
}

/** Null for what is no id of a response. */
export function jobIdOfResponse(id: string): string | null {
  const [, digits] = /^resp_(\w{1,48})$/.exec(id) ?? [];
  return digits === undefined ? null : `${JOB}${digits}`;
}

/** The id of an item of an answer: the first of its kind, or a further one. */
export function itemIdOf(jobId: string, kind: 'msg' | 'rs' | 'fc', index: number): string {
  return `${kind}_${digitsOf(jobId)}_${index}`;
}

/** Null for what is no id of an item. */
export function jobIdOfItem(id: string): string | null {
  const [, digits] = /^(?:msg|rs|fc)_([^\W_]{1,48})_\d{1,4}$/.exec(id) ?? [];
  return digits === undefined ? null : `${JOB}${digits}`;
}

/** The id of an item of what was asked. */
export function inputIdOf(jobId: string, index: number): string {
  return `in_${digitsOf(jobId)}_${index}`;
}

/** For an engine that names no call. */
export function callIdOf(jobId: string, index: number): string {
  return `call_${digitsOf(jobId)}_${index}`;
}

function digitsOf(jobId: string): string {
  return jobId.slice(JOB.length);
}
