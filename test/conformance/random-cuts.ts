/**
 * Many answers, each broken at a random byte, in a way that is drawn too: a reset, a close inside a
 * chunk, or a clean end. What is completed must be whole, whatever it took.
 */
import { waitUntil } from '../harness/wait-until.ts';
import { judgeLog, textsOf } from './judge.ts';
import { knownPersonas } from './persona.ts';
import type { Persona } from './persona.ts';
import { requestOf } from './run-job.ts';
import type { Engine, Fault } from './world/engine.ts';
import type { Reference } from './world/reference.ts';
import { startWorld } from './world/world.ts';
import type { World } from './world/world.ts';

const JOBS_AT_ONCE = 32;
const ENGINES = 2;
/** Answers of the same prompt break elsewhere: so many texts are enough. */
const PROMPTS = 50;
/** Of these prompts an answer has about 12 KB with token ids, and half of that without. */
const BYTES = { 'by token ids': 16_000, 'by text': 12_000, never: 9_000 } as const;
/** Of the requests that carry an answer on; three breaks are the end of a job. */
const BREAKS_AGAIN = 0.2;
/** Of all requests, where first and later attempts look the same. */
const BREAKS_BY_TEXT = 0.4;
const BREAKS: readonly Fault['name'][] = ['cut', 'cut_chunked', 'eof'];

export interface Cuts {
  readonly persona: Persona;
  readonly jobs: number;
}

/** By token ids and by text, which are different code. */
export const CUTS: readonly Cuts[] = [
  { name: 'current', jobs: 1_000 },
  { name: '0.6.4', jobs: 500 },
].flatMap(({ name, jobs }) =>
  knownPersonas()
    .filter((persona) => persona.name === name)
    .map((persona) => ({ persona, jobs })),
);

export interface CutCounts {
  readonly jobs: number;
  /** Answers that broke. */
  readonly broken: number;
  readonly completed: number;
  /** Of the completed: those that were carried on at least once. */
  readonly continued: number;
  /** Said to have failed, with what was published being a beginning of the answer. */
  readonly failed: number;
  readonly problems: readonly string[];
}

export async function cutAtRandom({
  redisUrl,
  persona,
  jobs: count,
}: Cuts & { redisUrl: string }): Promise<CutCounts> {
  const jobsPerEngine = JOBS_AT_ONCE / ENGINES;
  const world = await startWorld({
    redisUrl,
    persona,
    profile: ['--profile=instant'],
    jobsPerEngine,
  });
  try {
    for (const engine of world.engines) await addRules(engine, persona);
    const outcomes = await Promise.all(
      Array.from({ length: count }, (_, index) => runOne(world, index)),
    );
    const counts = await Promise.all(world.engines.map((engine) => engine.injected()));
    for (const engine of world.engines) await untilIdle(engine);
    return {
      jobs: count,
      broken: counts.flatMap((each) => Object.values(each)).reduce((sum, each) => sum + each, 0),
      completed: outcomes.filter(({ end }) => end === 'completed').length,
      continued: outcomes.filter(({ continued }) => continued > 0).length,
      failed: outcomes.filter(({ end }) => end === 'failed').length,
      problems: outcomes.flatMap(({ problems }) => problems),
    };
  } finally {
    await world.stop();
  }
}

/** Only jobs name their requests; an answer that is carried on by ids goes by another route. */
async function addRules(engine: Engine, persona: Persona): Promise<void> {
  const within = BYTES[persona.continues];
  for (const [index, name] of BREAKS.entries()) {
    const fault = { name, params: { within_bytes: within } };
    const isByRoute = persona.continues === 'by token ids';
    const share = 1 / (BREAKS.length - index);
    const rate = isByRoute ? share : share * BREAKS_BY_TEXT;
    await engine.addRule({
      fault,
      when: { header: 'x-request-id', path: '/v1/chat/completions', rate },
    });
    await engine.addRule({
      fault,
      when: { header: 'x-request-id', path: '/v1/completions', rate: BREAKS_AGAIN * share },
    });
  }
}

async function runOne({ jobs, reference }: World, index: number) {
  const request = requestOf({ name: 'cuts' }, index % PROMPTS);
  const whole = await reference.answer(request);
  const jobId = jobs.create();
  const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
  await jobs.submit(jobId, { request, onInterrupt: 'continue', traceparent });
  const outcome = await jobs.untilOver(jobId);
  const last = outcome.events.at(-1);
  const end = last?.type ?? 'nothing';
  return {
    end,
    continued: last?.type === 'completed' ? (last.continued ?? 0) : 0,
    problems: [
      ...judgeLog(outcome),
      ...judgeEnd({ end, texts: textsOf(outcome.events), whole, ...outcome.record }),
    ].map((problem) => `job ${index}: ${problem}`),
  };
}

function judgeEnd({
  end,
  texts,
  whole,
  result,
}: {
  end: string;
  texts: readonly string[];
  whole: Reference | null;
  result: { readonly text: string } | null;
}): string[] {
  const wanted = whole?.choices[0]?.message.content ?? null;
  const published = texts.join('');
  if (wanted === null) return ['the undisturbed engine gave no answer'];
  if (end === 'failed') return wanted.startsWith(published) ? [] : ['what failed is no beginning'];
  if (end !== 'completed') return [`it ended as ${end}`];
  return published === wanted && result?.text === wanted ? [] : ['a text that is not the answer'];
}

async function untilIdle(engine: Engine): Promise<void> {
  await waitUntil('an engine has nothing to do', async () => {
    const { running, waiting } = await engine.state();
    return running + waiting === 0;
  });
}
