/**
 * Runs the rows of one persona: those of single jobs in batches, then those of whole engines one
 * after the other.
 */
import { randomBytes } from 'node:crypto';
import type { EngineRequest } from '@qarr/router-core';
import { waitUntil } from '../harness/wait-until.ts';
import { judge } from './judge.ts';
import type { Persona } from './persona.ts';
import type { JobRow, LifeRow, Row } from './row.ts';
import { startWorld } from './world/world.ts';
import type { World } from './world/world.ts';
import type { Engine, SeenRequest } from './world/engine.ts';
import type { Reference } from './world/reference.ts';

export interface RowResult {
  readonly row: Row;
  readonly verdict: Verdict;
}

export type Verdict =
  | { kind: 'ok' }
  | { kind: 'not applicable' }
  | { kind: 'failed'; problems: readonly string[] };

/**
 * An engine remembers its last hundred requests, and a row makes two or three of them, with the
 * canary that follows on a failure.
 */
const BATCH_ROWS = 24;
/** Enough to have a middle. */
const MAX_TOKENS = 48;
/** The fault in the middle comes after six events. */
const TOKENS_MIN = 12;
const PROMPTS_MAX = 100;

export async function runRows({
  redisUrl,
  persona,
  rows,
}: {
  redisUrl: string;
  persona: Persona;
  rows: readonly Row[];
}): Promise<RowResult[]> {
  const world = await startWorld({ redisUrl, persona });
  try {
    const results: RowResult[] = [];
    const jobRows = rows.filter((row) => row.kind === 'job');
    const ordered = [
      ...jobRows.filter(({ isSlow }) => isSlow),
      ...jobRows.filter(({ isSlow }) => !isSlow),
    ];
    for (let at = 0; at < ordered.length; at += BATCH_ROWS) {
      results.push(...(await runBatch(ordered.slice(at, at + BATCH_ROWS), world)));
    }
    for (const row of rows) if (row.kind === 'life') results.push(await runLife(row, world));
    return results;
  } finally {
    await world.stop();
  }
}

async function runBatch(rows: readonly JobRow[], world: World): Promise<RowResult[]> {
  const { engines } = world;
  const before = await Promise.all(engines.map((engine) => receivedBy(engine)));
  const finish = await Promise.all(rows.map((row) => startJob(row, world)));
  // All are over before the engines are asked what they have seen.
  const judged = await Promise.all(finish.map((untilOver) => untilOver()));
  await Promise.all(engines.map(untilIdle));
  const after = await Promise.all(engines.map((engine) => receivedBy(engine)));
  if (after.some((count, index) => count - (before[index] ?? 0) > 100)) {
    throw new Error('A batch makes more requests than an engine remembers.');
  }
  const requests = await requestsSeen(engines);
  const injections = await injectionsOf(engines);
  await Promise.all(engines.map((engine) => engine.clearFaults()));
  return judged.map((judgeJob, index) => ({
    row: rows[index] as JobRow,
    verdict: judgeJob({ requests, injections }),
  }));
}

interface SeenByEngines {
  readonly requests: readonly SeenRequest[];
  /** How often a fault took effect, by the request id that it was meant for. */
  readonly injections: ReadonlyMap<string, number>;
}

/** Submits the row's job; in two steps, waits for its end and judges it. */
async function startJob(row: JobRow, { persona, engines, jobs, reference }: World) {
  const expected = row.expected(persona);
  if (expected === 'not applicable') {
    return async () => (): Verdict => ({ kind: 'not applicable' });
  }
  const { request, whole } = await chooseRequest(row, reference);
  const faults = row.faults ?? [];
  const jobId = jobs.create();
  const names = faults.map((_, index) => `${jobId}-${index + 1}`);
  for (const [index, fault] of faults.entries()) {
    const when = { header: `x-request-id: ${names[index]}` };
    for (const engine of engines) await engine.addRule({ fault, when, times: 1 });
  }
  const traceId = randomBytes(16).toString('hex');
  const { onInterrupt = 'continue' } = row;
  await jobs.submit(jobId, { request, onInterrupt, traceparent: `00-${traceId}-${SPAN_ID}-01` });

  return async () => {
    const outcome = await jobs.untilOver(jobId);
    return ({ requests, injections }: SeenByEngines): Verdict => {
      const own = requests.filter(({ request_id: id }) => id?.startsWith(`${jobId}-`));
      const seen = { persona, request, outcome, requests: own, reference: whole };
      const problems = [
        ...judge(jobId, { expected, seen, traceId }),
        ...names.flatMap((name, index) =>
          injections.get(name) === 1
            ? []
            : [`${faults[index]?.name} took effect ${injections.get(name) ?? 0} times, not once`],
        ),
        ...(row.check?.(seen) ?? []),
      ];
      return problems.length === 0 ? { kind: 'ok' } : { kind: 'failed', problems };
    };
  };
}

async function runLife(row: LifeRow, world: World): Promise<RowResult> {
  const problems = await row.play(world);
  await world.heal();
  if (problems === 'not applicable') return { row, verdict: { kind: 'not applicable' } };
  return { row, verdict: problems.length === 0 ? { kind: 'ok' } : { kind: 'failed', problems } };
}

/** The first prompt whose undisturbed answer is what the row wants. */
async function chooseRequest(
  row: JobRow,
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

function requestOf({ name, request }: JobRow, variant: number): EngineRequest {
  const content = `Write text ${variant} about this: ${name}.`;
  return {
    messages: [{ role: 'user', content }],
    max_tokens: MAX_TOKENS,
    temperature: 0.7,
    ...request,
  };
}

async function requestsSeen(engines: readonly Engine[]): Promise<SeenRequest[]> {
  const states = await Promise.all(engines.map((engine) => engine.state()));
  return states.flatMap(({ recent }) => recent);
}

async function injectionsOf(engines: readonly Engine[]): Promise<Map<string, number>> {
  const injections = new Map<string, number>();
  for (const rules of await Promise.all(engines.map((engine) => engine.rules()))) {
    for (const { when, injected } of rules) {
      const name = when.header?.value ?? '';
      injections.set(name, (injections.get(name) ?? 0) + injected);
    }
  }
  return injections;
}

async function receivedBy(engine: Engine): Promise<number> {
  return (await engine.state()).received;
}

/** What a job has let go of is let go of by its engine, too. */
async function untilIdle(engine: Engine): Promise<void> {
  await waitUntil('an engine has nothing to do', async () => {
    const { running, waiting, recent } = await engine.state();
    return running + waiting === 0 && recent.every(({ ended }) => ended !== null);
  });
}

const SPAN_ID = '00f067aa0ba902b7';
