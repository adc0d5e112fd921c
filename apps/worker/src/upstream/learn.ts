/**
 * Finds out what an engine can do. Its version is a first guess; then it is asked, with the tiniest
 * of requests, and only what it has shown is believed: engines exist that ignore in silence what
 * they do not know.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { NO_CAPABILITIES } from '../capabilities.ts';
import type { Capabilities } from '../capabilities.ts';
import { askForToken, judge } from './chat-probe.ts';
import type { ChatAnswer } from './chat-probe.ts';
import type { Exchange, Exchanges } from './exchange.ts';

/** Tokenizing has no queue and no GPU. */
const TOKENIZE_TIMEOUT_MS = 5_000;
const TOKENIZE_BYTES_MAX = 65_536;
/** Of what nobody will ask again, and the pause between them. */
const TRIES_MAX = 4;
const AGAIN_MS = 50;
/** Ends neither in a space, which chat templates cut off, nor within a word. */
const BEGUN = 'One, two, three,';
const BEGUN_MESSAGES = [
  { role: 'user', content: 'Count to ten.' },
  { role: 'assistant', content: BEGUN },
];

export type Learnt =
  | { kind: 'learnt'; capabilities: Capabilities }
  | Exclude<ChatAnswer, { kind: 'whole' }>;

interface Asking {
  readonly model: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** What is believed of an engine that may not be asked, by its version alone. */
export function guessCapabilities(version: string | null): Capabilities {
  if (version === null) return NO_CAPABILITIES;
  return { ...NO_CAPABILITIES, tokenizes: true };
}

/** The first answer that is no refusal decides; anything else is returned as it came. */
export async function learn(
  exchanges: Exchanges,
  { version, ...asking }: Asking & { version: string | null },
): Promise<Learnt> {
  let answer: ChatAnswer = { kind: 'refused', status: 400 };
  for (const step of stepsFor(version)) {
    answer = await askForToken(exchanges, { ...asking, fields: fieldsOf(step) });
    if (answer.kind === 'whole') {
      const capabilities = await learnRest(exchanges, { version, step, answer, ...asking });
      return { kind: 'learnt', capabilities };
    }
    if (answer.kind !== 'refused') return answer;
  }
  return answer;
}

/** What is asked for, each step less than the one before. */
interface Step {
  readonly countsAtTheEnd: boolean;
  readonly countsContinuously: boolean;
  readonly tokenIds: boolean;
}

const STEPS: readonly Step[] = [
  { countsAtTheEnd: true, countsContinuously: true, tokenIds: true },
  { countsAtTheEnd: true, countsContinuously: true, tokenIds: false },
  { countsAtTheEnd: true, countsContinuously: false, tokenIds: false },
  { countsAtTheEnd: false, countsContinuously: false, tokenIds: false },
];

/** `return_token_ids` came with vLLM 0.10.2; before 0.6.5 an unknown field was refused. */
function stepsFor(version: string | null): readonly Step[] {
  if (version === null) return STEPS.slice(2);
  return isBefore(version, [0, 10, 2]) ? STEPS.slice(1) : STEPS;
}

/** Builds from source call themselves `0.1.dev…`, whatever they are: they are asked for all. */
function isBefore(version: string, [major, minor, patch]: [number, number, number]): boolean {
  const match = /^v?(\d{1,6})\.(\d{1,6})\.(\d{1,6})(?!\d)/.exec(version);
  if (match === null || version.includes('dev')) return false;
  const [theirMajor = 0, theirMinor = 0, theirPatch = 0] = match.slice(1).map(Number);
  if (theirMajor !== major) return theirMajor < major;
  return theirMinor === minor ? theirPatch < patch : theirMinor < minor;
}

function fieldsOf({ countsAtTheEnd, countsContinuously, tokenIds }: Step): object {
  const continuous = countsContinuously ? { continuous_usage_stats: true } : {};
  return {
    ...(countsAtTheEnd ? { stream_options: { include_usage: true, ...continuous } } : {}),
    ...(tokenIds ? { return_token_ids: true } : {}),
  };
}

/** Of vLLM's own only an engine that answers `/version` as vLLM does is asked. */
async function learnRest(
  exchanges: Exchanges,
  {
    version,
    step: { countsAtTheEnd, countsContinuously, tokenIds },
    answer: { promptIds, ids, isCounted, idsAddUp },
    ...asking
  }: Asking & {
    version: string | null;
    step: Step;
    answer: Extract<ChatAnswer, { kind: 'whole' }>;
  },
): Promise<Capabilities> {
  const counts = {
    ...NO_CAPABILITIES,
    countsAtTheEnd,
    // Some take the field and do nothing.
    countsContinuously: countsContinuously && isCounted,
  };
  if (version === null) return counts;
  const givesIds = tokenIds && idsAddUp && promptIds.length > 0 && ids.length > 0;
  // One after the other: it may be a probe of an engine that was broken.
  const takesIds =
    givesIds && (await takesIdPrompt(exchanges, { prompt: [...promptIds, ...ids], ...asking }));
  const continuation = await learnContinuation(exchanges, asking);
  const tokenizes = await learnTokenizing(exchanges, asking);
  return { ...counts, tokenIds: takesIds, ...continuation, tokenizes };
}

async function takesIdPrompt(
  exchanges: Exchanges,
  { prompt, model, timeoutMs, signal }: Asking & { prompt: readonly number[] },
): Promise<boolean> {
  const answer = await unlessByChance(async () =>
    judge(
      await exchanges.send('/v1/completions', {
        body: { model, prompt, max_tokens: 1, temperature: 0, stream: true },
        timeoutMs,
        bytesMax: TOKENIZE_BYTES_MAX,
        signal,
      }),
    ),
  );
  return answer.kind === 'whole';
}

/** What is not found out now is not known before the engine starts anew: some more tries. */
async function unlessByChance<Answer extends { kind: string }>(
  ask: () => Promise<Answer>,
): Promise<Answer> {
  let answer = await ask();
  for (let tries = 1; tries < TRIES_MAX && BY_CHANCE.has(answer.kind); tries += 1) {
    await sleep(AGAIN_MS * tries);
    answer = await ask();
  }
  return answer;
}

const BY_CHANCE: ReadonlySet<string> = new Set(['failed', 'busy', 'unreachable']);

/**
 * vLLM takes `continue_final_message` and refuses it together with `add_generation_prompt`; who
 * takes both has understood neither.
 */
async function learnContinuation(
  exchanges: Exchanges,
  asking: Asking,
): Promise<Pick<Capabilities, 'continuesText' | 'echoesContinued'>> {
  const ask = (addsPrompt: boolean) =>
    unlessByChance(() =>
      askForToken(exchanges, {
        ...asking,
        messages: BEGUN_MESSAGES,
        fields: { continue_final_message: true, add_generation_prompt: addsPrompt },
      }),
    );
  const continued = await ask(false);
  const contradiction = await ask(true);
  const continuesText = continued.kind === 'whole' && contradiction.kind === 'refused';
  // Within one token no model says all of that again.
  const echoesContinued = continuesText && continued.text.startsWith(BEGUN);
  return { continuesText, echoesContinued };
}

async function learnTokenizing(exchanges: Exchanges, { model, signal }: Asking): Promise<boolean> {
  const options = { timeoutMs: TOKENIZE_TIMEOUT_MS, bytesMax: TOKENIZE_BYTES_MAX, signal };
  const ask = (path: string, body: object) =>
    unlessByChance(async () => told(await exchanges.send(path, { body, ...options })));
  const tokenized = await ask('/tokenize', { model, prompt: BEGUN });
  const tokens = tokenized.kind === 'told' ? tokensIn(tokenized.text) : null;
  if (tokens === null) return false;
  return (await ask('/detokenize', { model, tokens })).kind === 'told';
}

/** Below 500 an engine says that it does not have this. */
function told(
  exchange: Exchange,
): { kind: 'told'; text: string } | { kind: 'not here' | 'failed' } {
  if (exchange.kind !== 'answer' || exchange.status >= 500 || exchange.status === 429) {
    return { kind: 'failed' };
  }
  return exchange.status === 200 ? { kind: 'told', text: exchange.text } : { kind: 'not here' };
}

function tokensIn(text: string): readonly number[] | null {
  try {
    const { tokens } = JSON.parse(text) as { tokens?: unknown };
    return Array.isArray(tokens) && tokens.length > 0 ? tokens : null;
  } catch {
    return null;
  }
}
