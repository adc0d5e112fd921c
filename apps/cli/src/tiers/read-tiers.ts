/** Asks the API for its tiers. What an older API does not tell is null. */
import { CliError } from '../cli-error.ts';
import { isRecord } from '../is-record.ts';
import { printable } from './printable.ts';

const TIMEOUT_MS = 5_000;
/** Hundreds of workers with dozens of engines each are less. */
const ANSWER_BYTES_MAX = 4_194_304;

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
export async function readTiers(baseUrl: string, signal: AbortSignal): Promise<TiersAnswer> {
  const url = `${baseUrl}/v1/tiers`;
  const { status, text } = await get(url, { baseUrl, signal });
  const json = parse(text);
  if (status !== 200) throw new CliError(refusal(url, status, json));
  if (!isRecord(json) || !Array.isArray(json['tiers'])) {
    throw new CliError(`${url} is not QARR's; name its API with --url`);
  }
  return { tiers: json['tiers'].filter(isRecord).map(readTier), json };
}

async function get(
  url: string,
  { baseUrl, signal }: { baseUrl: string; signal: AbortSignal },
): Promise<{ status: number; text: string }> {
  const limit = AbortSignal.timeout(TIMEOUT_MS);
  try {
    const response = await fetch(url, { signal: AbortSignal.any([signal, limit]) });
    let text = '';
    const decoder = new TextDecoder();
    for await (const bytes of response.body ?? []) {
      text += decoder.decode(bytes, { stream: true });
      if (text.length > ANSWER_BYTES_MAX) throw new CliError(`${url} answers without an end`);
    }
    return { status: response.status, text };
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof CliError) throw error;
    const why = limit.aborted ? `within ${TIMEOUT_MS / 1_000} s` : causeOf(error);
    throw new CliError(
      `no answer from ${baseUrl} (${why}); start the API (npm start), or name another one with --url`,
      { cause: error },
    );
  }
}

function causeOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  const code = isRecord(cause) ? cause['code'] : undefined;
  if (code === 'ECONNREFUSED') return 'nobody listens there';
  return typeof code === 'string' ? code : 'the connection failed';
}

function refusal(url: string, status: number, json: unknown): string {
  const error = isRecord(json) ? json['error'] : undefined;
  const words = isRecord(error)
    ? ` (${printable(`${String(error['code'])}: ${String(error['message'])}`)})`
    : '';
  return `${url} answered ${status}${words}`;
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

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Whoever asks says what that means.
    return null;
  }
}
