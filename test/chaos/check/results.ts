/** I7, I8: the answer is what was published, and what an undisturbed engine says. */
import { finishReasonSchema } from '@qarr/router-core';
import type { JobEvent, JobResult } from '@qarr/router-core';
import { brief, publishedTexts, violation } from './evidence.ts';
import type { Check, JobEvidence, UndisturbedAnswer, Violation } from './evidence.ts';

export const checkResults: Check = ({ jobs, undisturbed }) =>
  [...jobs.values()].flatMap((job) => {
    if (job.record === null || job.log === null) return [];
    const whole = undisturbed.get(job.id);
    if (job.state === 'completed') {
      return [...checkResult(job), ...(whole === undefined ? [] : checkAgainst(job, whole))];
    }
    return [
      ...(job.record['result'] === undefined ? [] : [violation('I7', job, 'has a result')]),
      ...(whole === undefined || whole === null ? [] : checkBeginning(job, whole)),
    ];
  });

/** What a failed or cancelled job has published is the beginning of its answer. */
function checkBeginning(job: JobEvidence, { texts }: UndisturbedAnswer): Violation[] {
  return publishedTexts(job.events).flatMap((text, index) =>
    texts[index]?.startsWith(text) === true
      ? []
      : [violation('I7', job, `published what no engine says: ${differing(text, texts[index])}`)],
  );
}

function checkResult(job: JobEvidence): Violation[] {
  const result = resultOf(job);
  const final = finalOf(job);
  if (result === null || final === null) return [violation('I7', job, 'has no result')];
  const choices = result.choices ?? [result];
  const published = publishedTexts(job.events);
  const reasons = choices.map(({ finish_reason: reason }) => reason);
  const usage = final.usage;
  return [
    ...choices.flatMap(({ text }, index) =>
      (published[index] ?? '') === text
        ? []
        : [violation('I7', job, `stored ${differing(text, published[index])}`)],
    ),
    ...(reasons.every((reason) => finishReasonSchema.safeParse(reason).success) &&
    (final.finish_reasons ?? [final.finish_reason]).join() === reasons.join()
      ? []
      : [violation('I8', job, `finished by ${reasons.join()}, its event says otherwise`)]),
    ...((final.continued ?? 0) === (result.continued ?? 0)
      ? []
      : [violation('I7', job, 'counts its continuations in two ways')]),
    ...(usage === null || usage.total_tokens === usage.prompt_tokens + usage.completion_tokens
      ? []
      : [violation('I7', job, 'has a usage that does not add up')]),
  ];
}

function checkAgainst(job: JobEvidence, whole: UndisturbedAnswer | null): Violation[] {
  if (whole === null) return [violation('I8', job, 'completed what every engine refuses')];
  const result = resultOf(job);
  const choices = result?.choices ?? (result === null ? [] : [result]);
  const usage = finalOf(job)?.usage ?? null;
  return [
    ...whole.texts.flatMap((text, index) =>
      choices[index]?.text === text
        ? []
        : [
            violation(
              'I7',
              job,
              `is not the answer: ${differing(choices[index]?.text ?? '', text)}`,
            ),
          ],
    ),
    ...(choices.map(({ finish_reason: reason }) => reason).join() === whole.finishReasons.join()
      ? []
      : [violation('I8', job, `did not finish by ${whole.finishReasons.join()}`)]),
    ...(usage !== null &&
    (usage.prompt_tokens !== whole.promptTokens ||
      usage.completion_tokens !== whole.completionTokens)
      ? [
          violation(
            'I7',
            job,
            `counts ${usage.prompt_tokens} + ${usage.completion_tokens} tokens, not ${whole.promptTokens} + ${whole.completionTokens}`,
          ),
        ]
      : []),
  ];
}

function resultOf({ record }: JobEvidence): JobResult | null {
  const json = record?.['result'];
  return json === undefined ? null : (JSON.parse(json) as JobResult);
}

function finalOf({ events }: JobEvidence): Extract<JobEvent, { type: 'completed' }> | null {
  const last = events.at(-1);
  return last?.type === 'completed' ? last : null;
}

/** Where two texts part. */
function differing(text: string, other: string | undefined): string {
  const shall = other ?? '';
  let at = 0;
  while (at < text.length && text[at] === shall[at]) at += 1;
  const around = (whole: string) => brief(whole.slice(Math.max(0, at - 20), at + 40));
  return `at ${at} of ${text.length} and ${shall.length}: ${around(text)} instead of ${around(shall)}`;
}
