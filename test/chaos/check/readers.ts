/** I6, L4: every reader has exactly the log's events, from where it began, without a gap. */
import { digestOf } from '../history.ts';
import type { ReadEntry } from '../history.ts';
import { mayBeDeleted, violation } from './evidence.ts';
import type { Check, JobEvidence, Violation } from './evidence.ts';

export const checkReaders: Check = ({ jobs }) =>
  [...jobs.values()].flatMap((job) => {
    const digests = job.log?.map(({ json }) => digestOf(json)) ?? null;
    return [
      ...[...job.readers].flatMap(([reader, reads]) =>
        checkReader(job, { reader, reads, digests }),
      ),
      ...job.starved.map((reader) => violation('L4', job, `reader ${reader} never saw the end`)),
    ];
  });

function checkReader(
  job: JobEvidence,
  {
    reader,
    reads,
    digests,
  }: { reader: string; reads: readonly ReadEntry[]; digests: readonly string[] | null },
): Violation[] {
  const wrong = (message: string) => [violation('I6', job, `reader ${reader}: ${message}`)];
  let last = reads[0]?.after ?? 0;
  for (const { after, events, end, status } of reads) {
    if (after !== last) return wrong(`came back after ${after}, having ${last}`);
    for (const [seq, digest] of events) {
      if (seq !== last + 1) return wrong(`got event ${seq} after ${last}`);
      // What was deleted meanwhile can no longer be compared.
      if (digests !== null && digests[seq - 1] !== digest) {
        return wrong(`got another event ${seq} than the log has`);
      }
      last = seq;
    }
    if (end === 'over' && digests !== null && last !== digests.length) {
      return wrong(`was told that ${last} is the end, and there are ${digests.length} events`);
    }
    if (end === 'refused' && status === 404 && !mayBeDeleted(job)) return wrong('got a 404');
    if (end === 'refused' && status === 400) return wrong(`was refused after ${after}`);
  }
  return [];
}
