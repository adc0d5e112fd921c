/** I7, I10: what clients were told at last is what is stored. */
import type { JobResult } from '@qarr/router-core';
import { brief, mayBeDeleted, publishedTexts, violation } from './evidence.ts';
import type { Check, Evidence, JobEvidence, Violation } from './evidence.ts';

export const checkAnswers: Check = (evidence) => [
  ...[...evidence.jobs.values()].flatMap((job) => [...checkChats(job), ...checkLookups(job)]),
  ...checkLists(evidence),
];

/** A recount: what is listed is what Redis has, each job once and in its state. */
function checkLists({ entries, jobs }: Evidence): Violation[] {
  return entries.flatMap((entry) => {
    if (entry.t !== 'list') return [];
    const listed = new Map(entry.jobs);
    const stored = [...jobs.values()].filter(({ record }) => record !== null);
    return [
      ...(listed.size === entry.jobs.length
        ? []
        : [violation('I10', null, `${entry.api} lists a job twice`)]),
      ...stored
        .filter(({ id, state }) => listed.get(id) !== state)
        .map((job) =>
          violation('I10', job, `${entry.api} lists it as ${listed.get(job.id) ?? 'nothing'}`),
        ),
      ...[...listed.keys()]
        .filter((id) => (jobs.get(id)?.record ?? null) === null)
        .map((id) => violation('I10', null, `${entry.api} lists ${id}, which is not there`)),
    ];
  });
}

function checkChats(job: JobEvidence): Violation[] {
  if (job.record === null) return [];
  const published = publishedTexts(job.events)[0] ?? '';
  return job.chats.flatMap(({ end, text }) => {
    if (end === 'done') {
      return job.state === 'completed' && textOf(job) === text
        ? []
        : [violation('I7', job, `is ${job.state}, and its chat was told ${brief(text)}`)];
    }
    // A whole answer is all or nothing; a stream may break off.
    return published.startsWith(text)
      ? []
      : [violation('I7', job, `streamed what was not published: ${brief(text)}`)];
  });
}

function checkLookups(job: JobEvidence): Violation[] {
  return job.lookups.flatMap(({ status, jobState, text, api }) => {
    if (status === 404) {
      return mayBeDeleted(job) ? [] : [violation('I1', job, `${api} does not know it`)];
    }
    if (status !== 200) return [violation('I10', job, `${api} answers a look-up by ${status}`)];
    return jobState === job.state && text === textOf(job)
      ? []
      : [violation('I10', job, `${api} says that it is ${jobState}, with another text or state`)];
  });
}

function textOf({ record }: JobEvidence): string | null {
  const json = record?.['result'];
  return json === undefined ? null : (JSON.parse(json) as JobResult).text;
}
