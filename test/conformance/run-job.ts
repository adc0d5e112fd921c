/** One job of a row: chosen, given its faults, submitted, and judged when it is over. */
import { randomBytes } from 'node:crypto';
import type { EngineRequest } from '@qarr/router-core';
import { judge } from './judge.ts';
import type { Expected, JobRow } from './row.ts';
import type { Reference } from './world/reference.ts';
import type { SeenByEngines } from './world/watch-engines.ts';
import type { World } from './world/world.ts';

/** Enough to have a middle. */
const SAMPLING = { max_tokens: 48, temperature: 0.7 };
/** The fault in the middle comes after six events. */
const TOKENS_MIN = 12;
const PROMPTS_MAX = 100;
/** Of a span that nobody has recorded. */
const SPAN_ID = '00f067aa0ba902b7';

export interface StartedJob {
  readonly jobId: string;
  /** Resolves when it is over; what it returns judges it by what the engines have seen. */
  untilOver(): Promise<(seen: SeenByEngines) => string[]>;
}

/** Each attempt has a request id of its own, so each can be given a fault of its own. */
export async function startJob(
  row: Omit<JobRow, 'expected'> & { readonly expected: Expected },
  { persona, engines, jobs, reference }: World,
): Promise<StartedJob> {
  const { faults = [], onInterrupt = 'continue', expected } = row;
  const { request, whole } = await chooseRequest(row, reference);
  const jobId = jobs.create();
  const names = faults.map((_, index) => `${jobId}-${index + 1}`);
  for (const [index, fault] of faults.entries()) {
    const when = { header: `x-request-id: ${names[index]}` };
    for (const engine of engines) await engine.addRule({ fault, when, times: 1 });
  }
  const traceId = randomBytes(16).toString('hex');
  await jobs.submit(jobId, { request, onInterrupt, traceparent: `00-${traceId}-${SPAN_ID}-01` });

  return {
    jobId,
    async untilOver() {
      const outcome = await jobs.untilOver(jobId);
      return ({ requests, injections }) => {
        const own = requests.filter(({ request_id: id }) => id?.startsWith(`${jobId}-`));
        const seen = { persona, request, outcome, requests: own, reference: whole };
        return [
          ...judge(jobId, { expected, seen, traceId }),
          ...names.flatMap((name, index) =>
            injections.get(name) === 1
              ? []
              : [`${faults[index]?.name} took effect ${injections.get(name) ?? 0} times, not once`],
          ),
          ...(row.check?.(seen) ?? []),
        ];
      };
    },
  };
}

/** The first prompt whose undisturbed answer is what the row wants. */
async function chooseRequest(
  row: Omit<JobRow, 'expected'>,
  reference: World['reference'],
): Promise<{ request: EngineRequest; whole: Reference | null }> {
  for (let variant = 1; variant <= PROMPTS_MAX; variant += 1) {
    const request = requestOf(row, variant);
    const whole = await reference.answer(request);
    if (whole === null) return { request, whole };
    const hasMiddle = row.faults === undefined || whole.usage.completion_tokens >= TOKENS_MIN;
    if (hasMiddle && (row.wants?.(whole) ?? true)) return { request, whole };
  }
  throw new Error(`No prompt has an answer that "${row.name}" wants.`);
}

export function requestOf(
  { name, request, raw }: Pick<JobRow, 'name' | 'request' | 'raw'>,
  variant: number,
): EngineRequest {
  const content = `Write text ${variant} about this: ${name}.`;
  if (raw !== undefined) return { prompt: content, ...SAMPLING, ...raw };
  return {
    messages: [{ role: 'user', content }],
    ...SAMPLING,
    ...request,
  };
}
