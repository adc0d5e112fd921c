/**
 * One run: a world, people who stream, a batch that somebody uploads, creates, waits for and downloads,
 * and processes that are killed meanwhile; then the checks. Read this after `main.ts`.
 */
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { startReference } from '../conformance/world/reference.ts';
import type { ReferenceEngine } from '../conformance/world/reference.ts';
import { createRandom } from '../chaos/random.ts';
import { checkBatch } from './check.ts';
import type { Violation } from './check.ts';
import { createBatchClient } from './client.ts';
import type { Evidence, Poll } from './evidence.ts';
import { firstTokens, rates, watchMemory } from './figures.ts';
import type { FirstTokens, Memory } from './figures.ts';
import { lineAt, textOf } from './input.ts';
import type { Line } from './input.ts';
import { startKills } from './kills.ts';
import type { PlannedKill } from './kills.ts';
import { startStreams } from './streams.ts';
import { ENGINE_SEED, startWorld } from './world.ts';
import type { World, WorldShape } from './world.ts';

/** Beyond it, a sample: each is an answer that this process makes. */
const COMPARED_MAX = 3_000;
const STREAM_TOKENS = [20, 60] as const;
const THINKING_MS = [200, 1_000] as const;
/** Longer than any process is away. */
const QUIET_MS = 1_000;

export interface RunPlan {
  readonly seed: string;
  readonly lines: number;
  readonly kills: readonly PlannedKill[];
  readonly streams: number;
  readonly baselineMs: number;
  /** Of each answer, at most. */
  readonly tokens: readonly [min: number, max: number];
  readonly pollEveryMs: number;
  /** It is not waited for any longer, which is a violation. */
  readonly overWithinMs: number;
  readonly shape: WorldShape;
}

export interface RunResult {
  readonly violations: readonly Violation[];
  readonly evidence: Evidence;
  readonly figures: Figures;
  /** Processes that have ended by themselves, as where Redis was away. */
  readonly crashes: readonly string[];
  /** Logs and data; null where they are gone. */
  readonly folder: string | null;
}

interface Figures {
  readonly tookMs: number;
  readonly linesPerS: number;
  /** In each quarter of the lines. */
  readonly quartersPerS: readonly number[];
  readonly byTier: Readonly<Record<string, number>>;
  readonly memory: Readonly<Record<string, Memory>>;
  readonly firstTokens: { readonly before: FirstTokens; readonly during: FirstTokens };
  readonly ranAgain: number;
  readonly compared: number;
}

export async function runBatch(
  plan: RunPlan,
  say: (line: string) => void = () => {},
): Promise<RunResult> {
  const world = await startWorld(plan.shape);
  const reference = await startReference([`--seed=${ENGINE_SEED}`]);
  let keepsFolder = true;
  try {
    const result = await runIn(world, { plan, reference, say });
    keepsFolder = result.violations.length > 0;
    return { ...result, folder: keepsFolder ? world.folder : null };
  } finally {
    await reference.stop();
    await world.stop({ keepsFolder });
  }
}

async function runIn(
  world: World,
  {
    plan,
    reference,
    say,
  }: { plan: RunPlan; reference: ReferenceEngine; say: (line: string) => void },
): Promise<Omit<RunResult, 'folder'>> {
  const random = createRandom(plan.seed);
  const { apis, runners, workers, redis } = world;
  const tiers = plan.shape.tiers.map(({ name }) => name);
  const memory = watchMemory({
    processes: [...apis, ...runners, ...workers],
    redis: redis.observer,
  });
  const streams = startStreams({
    count: plan.streams,
    tokens: STREAM_TOKENS,
    thinkingMs: THINKING_MS,
    apis,
    random: random.fork('streams'),
    expect: async ({ prompt, max_tokens }) =>
      textIn(await reference.answer(requestOf({ content: prompt, max_tokens, temperature: 0.7 }))),
  });
  const lines = Array.from({ length: plan.lines }, (_, index) =>
    lineAt(plan.seed, index, { tokens: plan.tokens, tiers }),
  );
  const input = join(world.folder, 'input.jsonl');
  await pipeline(Readable.from(lines.map(textOf)), createWriteStream(input));
  await sleep(plan.baselineMs);
  await memory.begin();

  const client = createBatchClient({
    apis,
    random: random.fork('client'),
    pollEveryMs: plan.pollEveryMs,
  });
  const beganMs = performance.now();
  const polls: Poll[] = [];
  const kills = startKills({
    plan: plan.kills,
    world,
    random: random.fork('kills'),
    latest: () => polls.at(-1) ?? null,
  });
  const fileId = await client.upload(input);
  const { id } = await client.create(fileId);
  say(`${id}: ${plan.lines} lines`);
  const batch = await client.untilOver(id, {
    withinMs: plan.overWithinMs,
    onPoll(poll) {
      if (poll.status !== polls.at(-1)?.status) say(`${poll.status} ${JSON.stringify(poll)}`);
      polls.push(poll);
    },
  });
  const atEnd = await client.files(batch);
  const overMs = performance.now();
  await kills.stop();
  await streams.stop();
  memory.stop();
  await sleep(QUIET_MS);

  const outcomes = await client.outcomes(batch);
  say(`${outcomes.length} outcomes; comparing`);
  const undisturbed = await askUndisturbed(lines, { reference, random: random.fork('sample') });
  const runs = runsByLine(world, id);
  const evidence: Evidence = {
    lines,
    batch,
    polls,
    atEnd,
    later: await client.files(batch),
    outcomes,
    results: await client.results(id),
    runs,
    kills: kills.done,
    streams: streams.seen,
    undisturbed,
  };
  const { perS, quarters } = rates(polls);
  return {
    violations: checkBatch(evidence),
    evidence,
    crashes: world.crashes(),
    figures: {
      tookMs: overMs - beganMs,
      linesPerS: perS,
      quartersPerS: quarters,
      byTier: counted(outcomes.map(({ tier }) => tier ?? 'none')),
      memory: memory.figures(),
      firstTokens: {
        before: firstTokens(streams.seen, { fromMs: 0, toMs: beganMs }),
        during: firstTokens(streams.seen, { fromMs: beganMs, toMs: overMs }),
      },
      ranAgain: [...runs.values()].reduce((sum, own) => sum + own.length - 1, 0),
      compared: undisturbed.size,
    },
  };
}

/** The id of a line's job ends with its number. */
function runsByLine({ runs }: World, batchId: string): Evidence['runs'] {
  const prefix = `job_${batchId.replace('batch_', '')}_`;
  return new Map(
    [...runs].flatMap(([jobId, own]) =>
      jobId.startsWith(prefix) ? [[Number(jobId.slice(prefix.length)), own] as const] : [],
    ),
  );
}

async function askUndisturbed(
  lines: readonly Line[],
  { reference, random }: { reference: ReferenceEngine; random: { next(): number } },
): Promise<Map<string, string>> {
  const share = Math.min(1, COMPARED_MAX / lines.length);
  const answers = new Map<string, string>();
  for (const { customId, body, wrong } of lines) {
    if (wrong !== null || random.next() >= share) continue;
    const content = body.messages[0]?.content ?? '';
    const text = textIn(await reference.answer(requestOf({ ...body, content })));
    if (text !== null) answers.set(customId, text);
  }
  return answers;
}

function requestOf({
  content,
  max_tokens,
  temperature,
}: {
  content: string;
  max_tokens: number;
  temperature: number;
}) {
  return { messages: [{ role: 'user' as const, content }], max_tokens, temperature };
}

function textIn(answer: Awaited<ReturnType<ReferenceEngine['answer']>>): string | null {
  return answer?.choices[0]?.message.content ?? null;
}

function counted(names: readonly string[]): Record<string, number> {
  const groups = Map.groupBy(names, (name) => name);
  return Object.fromEntries([...groups].map(([name, group]) => [name, group.length]));
}
