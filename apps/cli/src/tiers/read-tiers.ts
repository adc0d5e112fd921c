/** Asks the API for its tiers. What an older API does not tell is null. */
import { createClient } from '@qarr/client';
import { CliError } from '../cli-error.ts';
import { asProblem } from '../client-problem.ts';
import { isRecord } from '../is-record.ts';
import { printable } from './printable.ts';

const PATH = '/v1/tiers';
const TIMEOUT_MS = 5_000;
/** Hundreds of workers with dozens of engines each are less. */
const ANSWER_CHARS_MAX = 4_194_304;

export interface TierRow {
  readonly name: string;
  readonly depth: number | null;
  readonly interactive: number | null;
  readonly standard: number | null;
  readonly batch: number | null;
  /** Of an interactive job and of a standard one that come now. */
  readonly waitsMs: readonly [interactive: number | null, standard: number | null];
  readonly running: number | null;
  readonly slots: number | null;
  readonly breaker: string | null;
  readonly alert: boolean | null;
  readonly workers: readonly WorkerRow[];
}

interface WorkerRow {
  readonly id: string;
  readonly engines: readonly EngineRow[];
}

/** An engine, as one worker sees it. */
export interface EngineRow {
  readonly url: string;
  readonly state: string | null;
  readonly breaker: string | null;
  readonly retryInMs: number | null;
  readonly running: number | null;
  readonly slots: number | null;
  readonly waiting: number | null;
  readonly kvUsage: number | null;
  readonly preemptions: number | null;
  readonly model: string | null;
}

export interface TiersAnswer {
  readonly tiers: readonly TierRow[];
  /** As it came. */
  readonly json: unknown;
}

/** Throws a CliError that says what to do when there is no such answer. */
export async function readTiers({
  baseUrl,
  apiKey,
  signal,
}: {
  baseUrl: string;
  apiKey: string | undefined;
  signal: AbortSignal;
}): Promise<TiersAnswer> {
  // Whoever watches asks again in a second.
  const client = createClient({
    baseUrl,
    apiKey,
    timeoutMs: TIMEOUT_MS,
    answerCharsMax: ANSWER_CHARS_MAX,
    maxRetries: 0,
  });
  // An API of another version may know less, or more: what is shown is looked at piece by piece.
  const json: unknown = await client.tiers({ signal }).catch((error: unknown) => {
    throw asProblem(error, { baseUrl, path: PATH, hasKey: apiKey !== undefined });
  });
  if (!isRecord(json) || !Array.isArray(json['tiers'])) {
    throw new CliError(`${baseUrl}${PATH} is not QARR's; name its API with --url`);
  }
  return { tiers: json['tiers'].filter(isRecord).map(readTier), json };
}

function recordIn(value: unknown): Record<string, unknown> {
  return isRecord(value) ? value : {};
}

function readTier(tier: Record<string, unknown>): TierRow {
  const byClass = recordIn(tier['depth_by_class']);
  const waits = recordIn(tier['estimated_wait_ms_by_class']);
  return {
    name: textIn(tier['name']) ?? '?',
    depth: numberIn(tier['depth']),
    interactive: numberIn(byClass['interactive']),
    standard: numberIn(byClass['standard']),
    batch: numberIn(byClass['batch']),
    waitsMs: [numberIn(waits['interactive']), numberIn(waits['standard'])],
    running: numberIn(tier['running']),
    slots: numberIn(tier['slots']),
    breaker: textIn(tier['breaker']),
    alert: typeof tier['alert'] === 'boolean' ? tier['alert'] : null,
    workers: listIn(tier['workers']).map((worker) => ({
      id: textIn(worker['id']) ?? '?',
      engines: listIn(worker['upstreams']).map(readEngine),
    })),
  };
}

function readEngine(engine: Record<string, unknown>): EngineRow {
  return {
    url: textIn(engine['url']) ?? '?',
    state: textIn(engine['state']),
    breaker: textIn(engine['breaker']),
    retryInMs: numberIn(engine['retry_in_ms']),
    running: numberIn(engine['running']),
    slots: numberIn(engine['slots']),
    waiting: numberIn(engine['waiting']),
    kvUsage: numberIn(engine['kv_usage']),
    preemptions: numberIn(engine['preemptions']),
    model: textIn(engine['model']),
  };
}

function listIn(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.filter(isRecord) : [];
}

/** No other text of the API reaches the terminal. */
function textIn(value: unknown): string | null {
  return typeof value === 'string' ? printable(value) : null;
}

function numberIn(value: unknown): number | null {
  return typeof value === 'number' ? value : null;
}
