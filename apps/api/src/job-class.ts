/** Which class a job has: who is served first, within what its key may ask for. */
import { QarrError, jobClassSchema } from '@qarr/router-core';
import type { JobClass } from '@qarr/router-core';
import type { Caller } from './caller.ts';

/** From the one that is served first. */
const BY_PRECEDENCE = jobClassSchema.options;

/**
 * The class that the client named, or else the usual one, lowered to the highest that its key may
 * have. Throws `class_not_allowed` where the client named one above it.
 */
export function classFor(
  { maxClass }: Pick<Caller, 'maxClass'>,
  { named, usual }: { named: JobClass | undefined; usual: JobClass },
): JobClass {
  const wanted = named ?? usual;
  if (BY_PRECEDENCE.indexOf(wanted) >= BY_PRECEDENCE.indexOf(maxClass)) return wanted;
  if (named === undefined) return maxClass;
  throw new QarrError('class_not_allowed', {
    param: 'class',
    message: `This key may not submit jobs of class ${named}; its highest is ${maxClass}.`,
  });
}
