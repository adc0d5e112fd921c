/** What an undisturbed engine says to the requests of jobs: all engines speak by one seed. */
import type { EngineRequest } from '@qarr/router-core';
import { startReference } from '../conformance/world/reference.ts';
import type { Random } from './random.ts';
import type { Dump } from './check/dump.ts';
import type { UndisturbedAnswer } from './check/evidence.ts';
import { ENGINE_SEED } from './world/shape.ts';

/** Beyond it, a sample: each is an answer of some dozens of tokens, made in this process. */
const COMPARED_MAX = 3_000;

export async function askUndisturbed(
  dump: Dump,
  random: Random,
): Promise<Map<string, UndisturbedAnswer | null>> {
  const engine = await startReference([`--seed=${ENGINE_SEED}`]);
  const answers = new Map<string, UndisturbedAnswer | null>();
  try {
    for (const jobId of sampleOf([...dump.jobs.keys()], random)) {
      const json = dump.jobs.get(jobId)?.record?.['request'];
      if (json === undefined) continue;
      answers.set(jobId, wholeAnswer(await engine.answer(JSON.parse(json) as EngineRequest)));
    }
  } finally {
    await engine.stop();
  }
  return answers;
}

function sampleOf(jobIds: readonly string[], random: Random): readonly string[] {
  if (jobIds.length <= COMPARED_MAX) return jobIds;
  return jobIds
    .map((jobId) => ({ jobId, place: random.next() }))
    .toSorted((a, b) => a.place - b.place)
    .slice(0, COMPARED_MAX)
    .map(({ jobId }) => jobId);
}

function wholeAnswer(
  answer: Awaited<ReturnType<Awaited<ReturnType<typeof startReference>>['answer']>>,
): UndisturbedAnswer | null {
  if (answer === null) return null;
  return {
    texts: answer.choices.map(({ message }) => message.content ?? ''),
    finishReasons: answer.choices.map(({ finish_reason: reason }) => reason),
    promptTokens: answer.usage.prompt_tokens,
    completionTokens: answer.usage.completion_tokens,
  };
}
